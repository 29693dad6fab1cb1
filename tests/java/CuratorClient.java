import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Curator's framework and its recipes, by two clients of one server. Prints what they see. */
public final class CuratorClient {
    private static final int WAIT_S = 60;
    private static final ExecutorService OTHERS = Executors.newCachedThreadPool();

    private static CuratorFramework connect(String address) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(address)
            .sessionTimeoutMs(30_000)
            .connectionTimeoutMs(30_000)
            .retryPolicy(new RetryNTimes(3, 100))
            .build();
        client.start();
        if (!client.blockUntilConnected(WAIT_S, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection");
        }
        return client;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "null" : new String(bytes, StandardCharsets.UTF_8);
    }

    private static void say(String what, Object value) {
        System.out.println(what + ": " + value);
    }

    private static void attempt(String what, Callable<?> operation) throws Exception {
        try {
            say(what, operation.call());
        } catch (KeeperException error) {
            say(what, error.code() + " " + error.getPath());
        }
    }

    private static <T> T soon(Future<T> future) throws Exception {
        return future.get(5 * WAIT_S, TimeUnit.SECONDS);
    }

    private static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_S);
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("never: " + what);
            }
            Thread.sleep(5);
        }
        say(what, "yes");
    }

    public static void main(String[] arguments) throws Exception {
        CuratorFramework one = connect(arguments[0]);
        CuratorFramework two = connect(arguments[0]);
        one.checkExists().forPath("/zookeeper");
        try {
            nodes(one.usingNamespace("curator-nodes"));
            transactions(one.usingNamespace("curator-transactions"));
            watches(one.usingNamespace("curator-watches"), two.usingNamespace("curator-watches"));
            locks(one.usingNamespace("curator-locks"), two.usingNamespace("curator-locks"));
            leaders(one.usingNamespace("curator-leaders"), two.usingNamespace("curator-leaders"));
            values(one.usingNamespace("curator-values"), two.usingNamespace("curator-values"));
            barriers(one.usingNamespace("curator-barriers"), two.usingNamespace("curator-barriers"));
            sessions(arguments[0], one);
            for (String path : one.getChildren().forPath("/")) {
                if (path.startsWith("curator-")) {
                    one.delete().guaranteed().deletingChildrenIfNeeded().forPath("/" + path);
                }
            }
        } finally {
            two.close();
            one.close();
            OTHERS.shutdownNow();
        }
        say("end", "reached");
    }

    private static void nodes(CuratorFramework one) throws Exception {
        attempt("create", () -> one.create().forPath("/a", bytes("first")));
        attempt("create again", () -> one.create().forPath("/a", bytes("second")));
        attempt("or set", () -> one.create().orSetData().forPath("/a", bytes("third")));
        attempt("no parent", () -> one.create().forPath("/b/c"));
        attempt("with parents", () -> one.create().creatingParentsIfNeeded().forPath("/b/c", bytes("x")));
        attempt("with containers", () -> one.create().creatingParentContainersIfNeeded().forPath("/d/e/f"));
        attempt("container", () -> one.create().withMode(CreateMode.CONTAINER).forPath("/container"));
        attempt("ttl", () -> one.create().withTtl(3_600_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/ttl"));
        attempt("sequential", () -> one.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/b/s-"));
        attempt("protected", () -> one.create().withProtection()
            .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/b/p-").replaceAll("_c_[-0-9a-f]*-", "_c_ID-"));
        attempt("compressed", () -> one.create().compressed().forPath("/z", bytes("much of the same")));
        attempt("uncompressed", () -> text(one.getData().decompressed().forPath("/z")));
        Stat stat = new Stat();
        attempt("data", () -> text(one.getData().storingStatIn(stat).forPath("/a")));
        say("stat", "version " + stat.getVersion() + " length " + stat.getDataLength());
        attempt("set", () -> one.setData().withVersion(stat.getVersion()).forPath("/a", bytes("4")).getVersion());
        attempt("set an old one", () -> one.setData().withVersion(stat.getVersion()).forPath("/a"));
        attempt("acl", () -> one.getACL().forPath("/a"));
        attempt("set acl", () -> one.setACL().withACL(ZooDefs.Ids.READ_ACL_UNSAFE).forPath("/b/c").getAversion());
        attempt("not allowed", () -> one.setData().forPath("/b/c", bytes("y")));
        attempt("in the background", () -> {
            BlockingQueue<String> results = new LinkedBlockingQueue<>();
            one.create().inBackground((client, event) ->
                results.add(event.getType() + " " + event.getResultCode() + " " + event.getPath())).forPath("/bg");
            one.delete().inBackground((client, event) ->
                results.add(event.getType() + " " + event.getResultCode() + " " + event.getPath())).forPath("/none");
            one.sync().inBackground((client, event) ->
                results.add(event.getType() + " " + event.getResultCode() + " " + event.getPath())).forPath("/bg");
            List<String> all = new ArrayList<>();
            for (int n = 0; n < 3; n++) {
                all.add(results.poll(WAIT_S, TimeUnit.SECONDS));
            }
            return all;
        });
        attempt("not empty", () -> one.delete().forPath("/d"));
        attempt("delete all", () -> one.delete().deletingChildrenIfNeeded().forPath("/d"));
        attempt("gone", () -> one.checkExists().forPath("/d"));
        attempt("quietly", () -> one.delete().quietly().forPath("/d"));
        List<String> children = new ArrayList<>(one.getChildren().forPath("/"));
        Collections.sort(children);
        say("children", children);
    }

    private static void transactions(CuratorFramework one) throws Exception {
        one.create().forPath("/t");
        attempt("all", () -> {
            List<String> results = new ArrayList<>();
            for (CuratorTransactionResult result : one.transaction().forOperations(
                    one.transactionOp().create().forPath("/t/a", bytes("1")),
                    one.transactionOp().setData().withVersion(0).forPath("/t/a", bytes("2")),
                    one.transactionOp().check().withVersion(1).forPath("/t/a"),
                    one.transactionOp().delete().forPath("/t/a"))) {
                results.add(result.getType() + " " + result.getForPath() + " " + result.getError());
            }
            return results;
        });
        attempt("nothing", () -> one.transaction().forOperations(
            one.transactionOp().create().forPath("/t/b"),
            one.transactionOp().check().withVersion(7).forPath("/t"),
            one.transactionOp().create().forPath("/t/c")));
        attempt("nothing is there", () -> one.getChildren().forPath("/t"));
    }

    private static void watches(CuratorFramework one, CuratorFramework two) throws Exception {
        one.create().creatingParentsIfNeeded().forPath("/w/a", bytes("0"));
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        one.getData().usingWatcher((org.apache.zookeeper.Watcher) event ->
            events.add("once " + event.getType() + " " + event.getPath())).forPath("/w/a");
        two.setData().forPath("/w/a", bytes("1"));
        say("event", events.poll(WAIT_S, TimeUnit.SECONDS));
        one.watchers().add().withMode(AddWatchMode.PERSISTENT_RECURSIVE).usingWatcher(
            (org.apache.zookeeper.Watcher) event ->
                events.add("always " + event.getType() + " " + event.getPath())).forPath("/w");
        two.create().forPath("/w/a/b");
        two.setData().forPath("/w/a/b", bytes("1"));
        two.delete().forPath("/w/a/b");
        for (int n = 0; n < 3; n++) {
            say("event", events.poll(WAIT_S, TimeUnit.SECONDS));
        }
        one.watchers().removeAll().forPath("/w");
        two.create().creatingParentsIfNeeded().forPath("/cache/a", bytes("a"));
        TreeMap<String, Integer> seen = new TreeMap<>();
        CountDownLatch initialized = new CountDownLatch(1);
        try (CuratorCache cache = CuratorCache.build(one, "/cache")) {
            cache.listenable().addListener(new org.apache.curator.framework.recipes.cache.CuratorCacheListener() {
                @Override
                public void event(Type type, org.apache.curator.framework.recipes.cache.ChildData old,
                        org.apache.curator.framework.recipes.cache.ChildData now) {
                    synchronized (seen) {
                        seen.merge(type + " " + (now == null ? old : now).getPath(), 1, Integer::sum);
                    }
                }

                @Override
                public void initialized() {
                    initialized.countDown();
                }
            });
            cache.start();
            say("cache", initialized.await(WAIT_S, TimeUnit.SECONDS));
            two.create().forPath("/cache/b", bytes("b"));
            until("b is cached", () -> cache.get("/cache/b").isPresent());
            two.setData().forPath("/cache/a", bytes("a2"));
            until("a has changed", () -> text(cache.get("/cache/a").get().getData()).equals("a2"));
            two.delete().forPath("/cache/b");
            until("b has gone", () -> !cache.get("/cache/b").isPresent());
            // The cache changes first, and tells of it then.
            until("all is told", () -> {
                synchronized (seen) {
                    return seen.size() == 5;
                }
            });
            say("events of the cache", seen);
        }
    }

    private static void locks(CuratorFramework one, CuratorFramework two) throws Exception {
        InterProcessMutex mine = new InterProcessMutex(one, "/mutex");
        InterProcessMutex theirs = new InterProcessMutex(two, "/mutex");
        say("lock", mine.acquire(WAIT_S, TimeUnit.SECONDS));
        say("lock again", mine.acquire(WAIT_S, TimeUnit.SECONDS));
        say("of the other", theirs.acquire(300, TimeUnit.MILLISECONDS));
        Future<Boolean> waiting = OTHERS.submit(() -> {
            boolean has = theirs.acquire(WAIT_S, TimeUnit.SECONDS);
            theirs.release();
            return has;
        });
        until("the other waits", () -> mine.getParticipantNodes().size() == 2);
        mine.release();
        mine.release();
        say("then the other", soon(waiting));
        InterProcessReadWriteLock shared = new InterProcessReadWriteLock(one, "/shared");
        InterProcessReadWriteLock other = new InterProcessReadWriteLock(two, "/shared");
        say("read", shared.readLock().acquire(WAIT_S, TimeUnit.SECONDS));
        say("read both", other.readLock().acquire(WAIT_S, TimeUnit.SECONDS));
        say("write", other.writeLock().acquire(300, TimeUnit.MILLISECONDS));
        other.readLock().release();
        shared.readLock().release();
        say("write then", other.writeLock().acquire(WAIT_S, TimeUnit.SECONDS));
        other.writeLock().release();
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(one, "/semaphore", 2);
        InterProcessSemaphoreV2 same = new InterProcessSemaphoreV2(two, "/semaphore", 2);
        Lease first = semaphore.acquire();
        Lease second = same.acquire();
        say("third lease", semaphore.acquire(300, TimeUnit.MILLISECONDS));
        same.returnLease(second);
        say("fourth lease", semaphore.acquire(WAIT_S, TimeUnit.SECONDS) != null);
        semaphore.returnLease(first);
    }

    private static void leaders(CuratorFramework one, CuratorFramework two) throws Exception {
        LeaderLatch first = new LeaderLatch(one, "/latch", "one");
        first.start();
        say("the first leads", first.await(WAIT_S, TimeUnit.SECONDS));
        LeaderLatch second = new LeaderLatch(two, "/latch", "two");
        second.start();
        until("both take part", () -> first.getParticipants().size() == 2);
        say("leader", second.getLeader());
        first.close();
        say("the second leads", second.await(WAIT_S, TimeUnit.SECONDS));
        second.close();
        BlockingQueue<String> turns = new LinkedBlockingQueue<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two)) {
            String name = client == one ? "one" : "two";
            LeaderSelector selector = new LeaderSelector(client, "/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework leader) {
                    turns.add(name);
                }
            });
            selector.setId(name);
            selectors.add(selector);
            selector.start();
            say("turn", turns.poll(WAIT_S, TimeUnit.SECONDS));
        }
        for (LeaderSelector selector : selectors) {
            selector.close();
        }
    }

    private static void values(CuratorFramework one, CuratorFramework two) throws Exception {
        List<Future<Integer>> adders = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two, one, two)) {
            adders.add(OTHERS.submit(() -> {
                DistributedAtomicLong counter = new DistributedAtomicLong(client, "/counter", new RetryNTimes(1000, 5));
                int done = 0;
                while (done < 25) {
                    AtomicValue<Long> added = counter.increment();
                    done += added.succeeded() ? 1 : 0;
                }
                return done;
            }));
        }
        for (Future<Integer> adder : adders) {
            say("added", soon(adder));
        }
        say("counter", new DistributedAtomicLong(one, "/counter", new RetryNTimes(3, 5)).get().postValue());
        SharedCount mine = new SharedCount(one, "/count", 5);
        SharedCount theirs = new SharedCount(two, "/count", 0);
        mine.start();
        theirs.start();
        say("count", theirs.getCount());
        mine.setCount(8);
        until("the other sees it", () -> theirs.getCount() == 8);
        say("set with its version", mine.trySetCount(theirs.getVersionedValue(), 9));
        theirs.close();
        mine.close();
        SimpleDistributedQueue queue = new SimpleDistributedQueue(one, "/queue");
        SimpleDistributedQueue end = new SimpleDistributedQueue(two, "/queue");
        for (int n = 0; n < 5; n++) {
            say("offer", queue.offer(bytes("item " + n)));
        }
        for (int n = 0; n < 5; n++) {
            say("take", text(end.take()));
        }
        say("empty", end.poll() == null);
    }

    private static void barriers(CuratorFramework one, CuratorFramework two) throws Exception {
        DistributedBarrier barrier = new DistributedBarrier(one, "/barrier");
        barrier.setBarrier();
        Future<Boolean> waiting = OTHERS.submit(
            () -> new DistributedBarrier(two, "/barrier").waitOnBarrier(WAIT_S, TimeUnit.SECONDS));
        barrier.removeBarrier();
        say("through the barrier", soon(waiting));
        List<Future<Boolean>> both = new ArrayList<>();
        for (CuratorFramework client : List.of(one, two)) {
            DistributedDoubleBarrier entrance = new DistributedDoubleBarrier(client, "/double", 2);
            both.add(OTHERS.submit(() ->
                entrance.enter(WAIT_S, TimeUnit.SECONDS) && entrance.leave(WAIT_S, TimeUnit.SECONDS)));
        }
        say("in and out", soon(both.get(0)) && soon(both.get(1)));
    }

    /** A session ends, as when its client was away for too long; what Curator keeps alive comes again. */
    private static void sessions(String address, CuratorFramework one) throws Exception {
        CuratorFramework brief = connect(address);
        PersistentNode node = new PersistentNode(
            brief.usingNamespace("curator-sessions"), CreateMode.EPHEMERAL, false, "/kept", bytes("kept"));
        node.start();
        say("kept node", node.waitForInitialCreate(WAIT_S, TimeUnit.SECONDS));
        GroupMember member = new GroupMember(brief.usingNamespace("curator-sessions"), "/group", "me");
        member.start();
        until("in the group", () -> member.getCurrentMembers().containsKey("me"));
        ZooKeeper session = brief.getZookeeperClient().getZooKeeper();
        long owner = one.checkExists().forPath("/curator-sessions/kept").getEphemeralOwner();
        say("its owner", owner == session.getSessionId());
        until("kept by another session", () -> {
            // A thief that is late may lose the session to its owner again, before it can end it.
            CountDownLatch connected = new CountDownLatch(1);
            ZooKeeper thief = new ZooKeeper(address, 30_000, event -> connected.countDown(),
                session.getSessionId(), session.getSessionPasswd());
            connected.await(WAIT_S, TimeUnit.SECONDS);
            thief.close();
            Stat stat = one.checkExists().forPath("/curator-sessions/kept");
            return stat != null && stat.getEphemeralOwner() != owner;
        });
        until("in the group again", () -> one.checkExists().forPath("/curator-sessions/group/me") != null);
        member.close();
        node.close();
        brief.close();
        until("gone with it", () -> one.checkExists().forPath("/curator-sessions/kept") == null);
    }
}

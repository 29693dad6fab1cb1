import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/**
 * Java's client, which holds a session with an ephemeral node and a watch, and writes, while the servers change. Prints
 * what it sees. It stops writing when its input has a line, and ends with its input.
 *
 * <p>Usage: {@code Holder HOST:PORT,... NAME TIMEOUT_MS}. tests/kazoo/holder.py is the same with kazoo.
 */
public final class Holder {
    private static final String WATCHED = "/watched";
    private static final int PAUSE_MS = 50;

    private final AtomicBoolean changed = new AtomicBoolean(true);
    private final AtomicBoolean rests = new AtomicBoolean();
    private final AtomicBoolean over = new AtomicBoolean();
    private final String name;
    private final ZooKeeper client;
    /** The number of the next write, and whether it was sent before. */
    private int count;
    private boolean again;

    private Holder(String servers, String name, int timeoutMs) throws Exception {
        this.name = name;
        client = new ZooKeeper(servers, timeoutMs, this::changesState);
    }

    private static synchronized void say(String what, Object value) {
        System.out.println(what + " " + value);
        System.out.flush();
    }

    private void changesState(WatchedEvent event) {
        if (event.getType() != Watcher.Event.EventType.None) {
            return;
        }
        say("state", event.getState());
        if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
            say("session", "0x" + Long.toHexString(client.getSessionId()));
        } else if (event.getState() == Watcher.Event.KeeperState.Expired) {
            over.set(true);
        }
    }

    private void sees(WatchedEvent event) {
        if (event.getType() != Watcher.Event.EventType.None) {
            changed.set(true);
        }
    }

    /** Creates a node. Returns whether the server has confirmed it. */
    private boolean create(String path, CreateMode mode) throws Exception {
        try {
            client.create(path, new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, mode);
        } catch (KeeperException.ConnectionLossException error) {
            again = true;
            return false;
        } catch (KeeperException.NodeExistsException error) {
            // The attempt before may have created it.
            if (!again) {
                throw error;
            }
        }
        again = false;
        return true;
    }

    private void look() throws Exception {
        changed.set(false);
        try {
            byte[] data = client.getData(WATCHED, this::sees, null);
            say("saw", new String(data, StandardCharsets.UTF_8));
        } catch (KeeperException.ConnectionLossException error) {
            changed.set(true);
        }
    }

    private void write() throws Exception {
        String path = "/" + name + "-" + count;
        if (create(path, CreateMode.PERSISTENT)) {
            say("acknowledged", path);
            count++;
        }
    }

    private void waitForTheEnd() throws Exception {
        while (!over.get()) {
            Thread.sleep(PAUSE_MS);
        }
    }

    private void hold() throws Exception {
        while (!over.get() && !create("/held-by-" + name, CreateMode.EPHEMERAL)) {
            Thread.sleep(PAUSE_MS);
        }
        while (!over.get()) {
            if (changed.get()) {
                look();
            }
            // A write that may have been done or not is completed first.
            if (!rests.get() || again) {
                write();
            } else {
                say("rests", count);
                waitForTheEnd();
            }
            Thread.sleep(PAUSE_MS);
        }
        client.close();
    }

    public static void main(String[] args) throws Exception {
        Holder holder = new Holder(args[0], args[1], Integer.parseInt(args[2]));
        Thread reader = new Thread(() -> {
            try {
                InputStream input = System.in;
                while (input.read() >= 0) {
                    holder.rests.set(true);
                }
            } catch (java.io.IOException error) {
                say("input", error);
            }
            holder.over.set(true);
        });
        reader.setDaemon(true);
        reader.start();
        holder.hold();
    }
}

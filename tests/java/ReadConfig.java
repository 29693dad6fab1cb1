import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.zookeeper.common.NetUtils;
import org.apache.zookeeper.server.ServerConfig;
import org.apache.zookeeper.server.quorum.QuorumPeer;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig;

/**
 * Prints what Java makes of configuration files, whose paths it reads from its input, a line each. For each file a
 * line "file PATH", then "pair KEY VALUE" for what java.util.Properties reads, and "set NAME VALUE" for what
 * QuorumPeerConfig makes of it; "refused" where either refuses. Texts are in hexadecimal UTF-8.
 */
public class ReadConfig {

    private static final StringBuilder OUT = new StringBuilder();

    public static void main(String[] args) throws Exception {
        List<String> paths = new ArrayList<>();
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in))) {
            for (String path = in.readLine(); path != null; path = in.readLine()) {
                paths.add(path);
            }
        }
        for (String path : paths) {
            OUT.append("file ").append(path).append('\n');
            properties(path);
            config(path);
        }
        System.out.write(OUT.toString().getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }

    private static void properties(String path) throws Exception {
        Properties properties = new Properties();
        try (InputStream in = new FileInputStream(path)) {
            properties.load(in);
        } catch (IllegalArgumentException e) {
            OUT.append("refused pairs\n");
            return;
        }
        TreeMap<String, String> sorted = new TreeMap<>();
        properties.forEach((key, value) -> sorted.put(hex(key), hex(value)));
        sorted.forEach((key, value) -> OUT.append("pair ").append(key).append(' ').append(value).append('\n'));
    }

    private static void config(String path) {
        new TreeSet<>(System.getProperties().stringPropertyNames()).stream()
            .filter(name -> name.startsWith("zookeeper."))
            .forEach(System::clearProperty);
        QuorumPeerConfig.setStandaloneEnabled(true);
        QuorumPeerConfig.setReconfigEnabled(false);
        QuorumPeerConfig config = new QuorumPeerConfig();
        try {
            config.parse(path);
        } catch (Exception e) {
            OUT.append("refused config\n");
            return;
        }
        ServerConfig server = new ServerConfig();
        server.readFrom(config);
        set("client", address(server.getClientPortAddress()));
        set("secureClient", address(server.getSecureClientPortAddress()));
        set("dataDir", server.getDataDir().getPath());
        set("dataLogDir", server.getDataLogDir().getPath());
        set("tickTime", server.getTickTime());
        set("maxClientCnxns", server.getMaxClientCnxns());
        set("minSessionTimeout", server.getMinSessionTimeout());
        set("maxSessionTimeout", server.getMaxSessionTimeout());
        set("listenBacklog", server.getClientPortListenBacklog());
        set("metricsProvider", server.getMetricsProviderClassName());
        new TreeMap<>(server.getMetricsProviderConfiguration())
            .forEach((key, value) -> set("metricsProvider." + key, value));
        set("jvmPause", server.isJvmPauseMonitorToRun() + " " + server.getJvmPauseInfoThresholdMs() + " "
            + server.getJvmPauseWarnThresholdMs() + " " + server.getJvmPauseSleepTimeMs());
        set("observerMasterPort", config.getObserverMasterPort());
        set("initLimit", config.getInitLimit());
        set("syncLimit", config.getSyncLimit());
        set("connectToLearnerMasterLimit", config.getConnectToLearnerMasterLimit());
        set("snapRetainCount", config.getSnapRetainCount());
        set("purgeInterval", config.getPurgeInterval());
        set("syncEnabled", config.getSyncEnabled());
        set("peerType", config.getPeerType());
        set("localSessions", config.areLocalSessionsEnabled() + " " + config.isLocalSessionsUpgradingEnabled());
        set("sslQuorum", config.isSslQuorum() + " " + config.shouldUsePortUnification());
        set("allIPs", config.getQuorumListenOnAllIPs());
        set("standalone", QuorumPeerConfig.isStandaloneEnabled());
        set("reconfig", QuorumPeerConfig.isReconfigEnabled());
        set("distributed", config.isDistributed());
        set("serverId", config.getServerId());
        set("version", config.getQuorumVerifier().getVersion());
        new TreeMap<Long, QuorumPeer.QuorumServer>(config.getQuorumVerifier().getAllMembers())
            .forEach((id, member) -> set("server." + id, member));
        new TreeSet<>(System.getProperties().stringPropertyNames()).stream()
            .filter(name -> name.startsWith("zookeeper."))
            .forEach(name -> set("property", name + "=" + System.getProperty(name)));
    }

    private static String address(java.net.InetSocketAddress address) {
        return address == null ? "none" : NetUtils.formatInetAddr(address);
    }

    private static void set(String name, Object value) {
        OUT.append("set ").append(hex(name)).append(' ').append(hex(value)).append('\n');
    }

    private static String hex(Object text) {
        StringBuilder hex = new StringBuilder("x");
        for (byte b : text.toString().getBytes(StandardCharsets.UTF_8)) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }

}

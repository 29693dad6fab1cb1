"""A pytest plugin that lets kazoo's test suite start any server instead of a Java cluster.

The suite's harness creates a `ZookeeperCluster`. Here, that is one standalone server of the kind in $KAZOO_SERVER
(`java:3.9.5`, `ours`). Every worker of pytest-xdist has its own. A test that stops its server and starts it again finds
the same data.
"""

import os
import shutil
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The suite imports these two for the certificates of its own cluster, which is never created here.
for name in ("OpenSSL", "jks"):
    sys.modules.setdefault(name, types.ModuleType(name))

import kazoo.testing.harness  # noqa: E402
from harness.servers import Server, fresh_dir  # noqa: E402


class ManagedServer:
    """One server, with the interface that kazoo's tests use."""

    def __init__(self, server):
        self.server = server
        self.running = False

    @property
    def address(self):
        return f"127.0.0.1:{self.server.port}"

    secure_address = address

    def run(self):
        if not self.running:
            self.server.start()
            # `run.py` kills the server with this pid if this process ends without doing so.
            (self.server.workdir / "server.pid").write_text(str(self.server.process.pid))
            self.running = True

    def stop(self):
        self.server.stop()
        self.running = False

    def reset(self):
        self.stop()
        shutil.rmtree(self.server.data, ignore_errors=True)

    destroy = stop

    def get_logs(self, num_lines=100):
        return self.server.log_tail(num_lines).splitlines()


class OneServerCluster:
    """Takes the place of kazoo.testing.common.ZookeeperCluster."""

    def __init__(self, configuration_entries=(), java_system_properties=(), **_):
        kind = os.environ["KAZOO_SERVER"]
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        settings = {"tickTime": 2000, "maxClientCnxns": 0, "maxSessionTimeout": None}
        settings.update(entry.split("=", 1) for entry in configuration_entries)
        # The suite sets properties with the prefix `zookeeper.`. In zoo.cfg, they have no prefix.
        for flag in java_system_properties:
            key, value = flag.removeprefix("-D").split("=", 1)
            settings[key.removeprefix("zookeeper.")] = value
        # The next test may want another configuration, so each server has its own directory.
        OneServerCluster.count = getattr(OneServerCluster, "count", 0) + 1
        directory = f"{worker}-{OneServerCluster.count}"
        workdir = fresh_dir(Path(os.environ["KAZOO_WORK_DIR"]) / directory)
        properties = {"file.encoding": "UTF-8"} if kind.startswith("java:") else {}
        self.servers = [ManagedServer(Server(kind, workdir, settings, properties))]

    def __getitem__(self, index):
        return self.servers[index]

    def __iter__(self):
        return iter(self.servers)

    def start(self):
        for server in self.servers:
            server.run()

    def stop(self):
        for server in self.servers:
            server.stop()

    def reset(self):
        for server in self.servers:
            server.reset()

    terminate = stop

    def get_logs(self):
        return [server.get_logs() for server in self.servers]


kazoo.testing.harness.ZookeeperCluster = OneServerCluster

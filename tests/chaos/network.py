"""A network for the members. Each member has a network namespace with one address, and its packets to another member
can be dropped, in one direction or in both.

A cut is a permanent neighbour entry with a hardware address that does not exist. The packets vanish, as in a broken
network, and the sender gets no error. This needs the right to create namespaces (root, or user namespaces).
"""

import os
import subprocess
import sys

PREFIX = "10.77.0."
MINE = 254
NOBODY = "02:77:00:00:ff:ff"
INSIDE = "ZOOKEEPER_TESTS_IN_NAMESPACE"


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.strip()}")


def enter():
    """Starts this program again in its own namespaces, unless it runs there already. Ends it with a message if
    namespaces cannot be created."""
    if os.environ.get(INSIDE):
        return
    for flags in (["--net", "--mount"], ["--user", "--map-root-user", "--net", "--mount"]):
        try:
            usable = subprocess.run(["unshare", *flags, "true"], stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            break
        if usable.returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])
    sys.exit("no network namespace can be made here: run as root, or with --no-network")


def mac(number):
    return f"02:77:00:00:00:{number:02x}"


class Network:
    """Namespaces for members 1 to `count`, and a bridge that connects them with each other and with this program."""

    def __init__(self, count):
        self.holders = {}
        self.cuts = set()
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "address", mac(MINE), "type", "bridge")
        run("ip", "addr", "add", f"{PREFIX}{MINE}/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        for number in range(1, count + 1):
            # This process keeps the namespace. It ends with its standard input, and so with this program.
            self.holders[number] = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", "echo ready; cat"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.holders[number].stdout.readline()
        for number in self.holders:
            self._connect(number)
        self.heal()

    def host(self, number):
        return f"{PREFIX}{number}"

    def prefix(self, number):
        """Returns the words in front of a command that run it in this member's namespace."""
        return ["nsenter", f"--net=/proc/{self.holders[number].pid}/ns/net", "--"]

    def _connect(self, number):
        run("ip", "link", "add", f"member{number}", "type", "veth", "peer", "name", "eth0",
            "address", mac(number), "netns", str(self.holders[number].pid))
        run("ip", "link", "set", f"member{number}", "master", "br0", "up")
        inside = self.prefix(number)
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, "ip", "addr", "add", f"{self.host(number)}/24", "dev", "eth0")
        run(*inside, "ip", "link", "set", "eth0", "up")

    def _way(self, sender, receiver, address):
        run(*self.prefix(sender), "ip", "neigh", "replace", self.host(receiver), "lladdr", address,
            "dev", "eth0", "nud", "permanent")

    def cut(self, sender, receiver):
        """Drops what `sender` sends to `receiver` from now on."""
        self._way(sender, receiver, NOBODY)
        self.cuts.add((sender, receiver))

    def cut_between(self, some, others):
        """Cuts both directions between the members of two groups."""
        for one in some:
            for other in others:
                self.cut(one, other)
                self.cut(other, one)

    def heal(self):
        """Lets all members reach each other again."""
        for sender in self.holders:
            for receiver in self.holders:
                if sender != receiver:
                    self._way(sender, receiver, mac(receiver))
        self.cuts.clear()

    def close(self):
        for holder in self.holders.values():
            holder.stdin.close()
            holder.wait()

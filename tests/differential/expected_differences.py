"""The differences between two servers that `collectors.py` accepts, each with its reason.

A rule names what was asked, the key, and how the values may differ. A metric has the same key wherever it is read:
`readlatency:cnt`, `1_ack_latency:p99`, `znode_count`. A rule that a whole run did not need is no fault, because most
rules are about timing.
"""

import re

# The questions whose answers hold metrics.
METRICS = r"/metrics|mntr( after srst)?|/commands/monitor"
# The names of Prometheus's summaries, which `collectors.py` adds. They are needed because the name of a metric that is
# no summary may also end with `_count`.
SUMMARIES = set()
# What `collectors.py` shows in the place of a time of this run. Any other number may equal one by chance.
CLOCKS = {"ELAPSED", "WALL", "WALL-S"}
# The values of an empty summary.
EMPTY = {"0", "0.0", "NaN", '"NaN"', "[]", None}


def canonical(what, key):
    """Returns the key as the rules name it."""
    if not re.fullmatch(METRICS, what):
        return key
    hint = re.match(r"# (HELP|TYPE) (\S+)", key)
    if hint:
        return f"{hint[2]}:{hint[1]}"
    name = re.sub(r"^(zk_|\.)", "", key)
    found = re.match(r"(avg|min|max|cnt|sum|p\d+)_(.*)", name)
    if found and "{" not in name:
        return f"{found[2]}:{found[1]}"
    labels = dict(re.findall(r'(\w+)="([^"]*)"', name))
    name = name.split("{")[0]
    part = None
    for end, short in (("_count", "cnt"), ("_sum", "sum")):
        if name.endswith(end) and name[:-len(end)] in SUMMARIES:
            name, part = name[:-len(end)], short
    if "quantile" in labels:
        part = f"p{labels['quantile']}"
    if "key" in labels:
        name = f"{labels['key']}_{name}"
    return f"{name}:{part}" if part else name


def number(value):
    if value in CLOCKS:
        return float("inf")
    try:
        return float((value or "").strip('"'))
    except ValueError:
        return None


# --- how values may differ ---

def numbers(theirs, ours):
    """Both are numbers. Their values do not matter."""
    return number(theirs) is not None and number(ours) is not None


def not_here(theirs, ours):
    """Our server does not have it, or does not count it."""
    return ours in EMPTY


def next_to_none(theirs, ours):
    """Both are below 0.5."""
    return numbers(theirs, ours) and max(number(theirs), number(ours)) < 0.5


def nothing(theirs, ours):
    """Both are empty, in different forms."""
    return theirs in EMPTY and ours in EMPTY


def more_here(theirs, ours):
    """The other server does not have it, or does not count it."""
    return theirs in EMPTY or "null" in (theirs or "")


def anything(theirs, ours):
    return True


ANY_PART = r":(avg|min|max|cnt|sum|p[\d.]+)$"
NO_COUNT = r":(avg|min|max|sum|p[\d.]+)$"
CUT_OFF = r"(read-only|without a quorum).*"

# (where, key, how, reason[, roles])
RULES = [
    # --- timing, and properties of the machine
    (METRICS, r"(time|latency|_ms|write_batch_time_in_commit_processor)" + NO_COUNT, numbers, "a time"),
    (METRICS, r"(avg|min|max)_latency|uptime|leader_uptime", numbers, "a time"),
    (r"srvr|stat", r"Latency min/avg/max", anything, "times"),
    (r"/commands/(connections|server_stats|stats)( after resets)?", r".*(_latency|\.uptime)", numbers, "a time"),
    (r"cons", r".* (llat|minlat|avglat|maxlat)", numbers, "a time"),
    (METRICS, r"(open|max)_file_descriptor_count", numbers, "a JVM opens its jars, and some more"),
    (METRICS, r"process_(?!.*:(HELP|TYPE))", numbers, "what the process uses"),
    (METRICS, r"jvm_", anything, "there is no JVM here"),
    (r"conf|dirs|/commands/(dirs|(server_)?stats)( after resets)?", r".*(dir|data|log)_?(dir|log)?_?size",
     numbers, "the log grows ahead of its writer in other steps, and there are fewer snapshots"),
    (r"conf", r"data(Dir|Log)Size", numbers, "the log grows ahead of its writer in other steps"),
    # --- timing within the work
    (r"dump", r".*Sets( .*)?", anything, "Java counts intervals that everything has left"),
    (r"dump", r".*Sets, expire at DATE", nothing, "an interval that everything has left"),
    (r"/commands/dump", r"\.expiry_time_to_session_ids\.ELAPSED.*", anything,
     "which sessions end in one interval is chance; Java shows empty ones"),
    (METRICS, r"socket_closing_time:cnt", numbers,
     "the connection of a four-letter word may be closing while it is read"),
    (METRICS, r"\d+_learner_handler_qp_size:(avg|p0\.5)", next_to_none, "PINGs are sent twice a tick"),
    (METRICS, r"\d+_learner_handler_qp_size:(min|max|sum|cnt)", numbers, "PINGs are sent twice a tick"),
    (METRICS, r"\d+_learner_handler_qp_time_ms:cnt", numbers,
     "Java takes the time of one packet of a thousand, ours of each flush"),
    (r"/commands/observers", r"\.observers\[\d\]\.packets_(sent|received)", numbers, "PINGs are sent twice a tick"),
    (METRICS, r"inflight_(snap|diff)_count" + NO_COUNT, numbers, "who comes while another is being served is chance"),
    (METRICS, r"(fsynctime|sync_processor_queue_flush_time_ms):cnt|sync_processor_batch_size" + ANY_PART,
     numbers, "how many proposals come while the log is being synced is chance"),
    (METRICS, r"(commit_process_time|write_batch_time_in_commit_processor):cnt|"
     r"(commit_commit_proc_req_queued|write_commit_proc_issued)" + ANY_PART, numbers,
     "how many commits are applied at once is chance, and Java's rounds without one count, too"),
    (METRICS, r"(?!\d+_learner_handler_qp_size).*:p0\.(5|9|99)", numbers,
     "a quantile of Prometheus is one of several values of the same right"),
    # --- queues and threads that our server does not have
    (METRICS, r"(prep_processor|sync_processor|learner_request_processor)_queue_size" + ANY_PART, numbers,
     "how many requests are queued at a time is chance, and reads do not pass these processors"),
    (METRICS, r"request_throttle_queue_time_ms" + ANY_PART, not_here,
     "RequestThrottler is there only where it is configured"),
    (METRICS, r"(prep_process_time|prep_processor_queue_time_ms|proposal_process_time|sync_processor_queue_time_ms)"
     r":cnt|(prep|sync)_processor_request_queued", numbers,
     "reads do not come by PrepRequestProcessor and SyncRequestProcessor"),
    (METRICS, r"(pending_session_queue_size|requests_in_session_queue|write_commit_proc_req_queued)" + ANY_PART, numbers,
     "reads do not pass CommitProcessor, and do not count in its queues"),
    (METRICS, r"(read_commit_proc_(issued|req_queued)|read_commitproc_time_ms|read_final_proc_time_ms|"
     r"reads_after_write_in_session_queue|reads_issued_from_session_queue|session_queues_drained|"
     r"time_waiting_empty_pool_in_commit_processor_read_ms|concurrent_request_processing_in_commit_processor)"
     + ANY_PART, not_here, "reads do not come by CommitProcessor, and a write waits there by number alone"),
    (METRICS, r"(local_write_committed_time_ms|server_write_committed_time_ms|write_commitproc_time_ms):cnt", numbers,
     "learners' writes come to CommitProcessor committed, as in Java with "
     "forward_learner_requests_to_commit_processor_disabled", r"leader.*|" + CUT_OFF),
    (METRICS, r"response_packet(_get_children)?_cache_(misses|hits)", not_here,
     "answers are made from the tree: there is no cache of them"),
    # --- values that Java counts in another way
    (METRICS, r"snapshottime:cnt", numbers, "Java writes a second snapshot at every start"),
    (METRICS, r"zookeeper_write_per_namespace" + ANY_PART, numbers,
     "Java's learner puts its configuration twice into a snapshot that it gets", r"(follower|observer).*|" + CUT_OFF),
    (METRICS, r"approximate_data_size", numbers, "Java forgets what it has written into a quota's own node"),
    (r"/commands/last_snapshot", r"\.(timestamp|zxid)", anything,
     "Java looks at the file's time before it is there, and its leader takes its snapshot before its epoch",
     r"(leader|follower|observer).*|" + CUT_OFF),
    (r"/commands/observers", r"\.observers\[\d\]\.queued_packets_size", anything,
     "Java takes from it what it has never added"),
    (r"/commands/initial_configuration", r"\.initial_configuration", more_here, "Java's members forget it"),
    # --- a member that is cut off
    (METRICS + r"|/commands/(server_stats|stats)( after resets)?|srvr|stat", r".*outstanding_requests|Outstanding",
     numbers, "what Java's read-only server has refused stays outstanding", r"read-only.*"),
    (r"/commands/(connections|stats)( after resets)?|cons( after crst)?|stat",
     r".*(interest_ops| interest)", numbers,
     "Java reads no more from a session that its read-only server has refused", r"read-only/default"),
    (r"stat|srvr", r"Sent", numbers, "mntr has no jvm_ values, and goes out in fewer pieces", r".*/prometheus"),
    (r"/commands/monitor", r".*", anything, "Java's fails with 500 where there is no server", r"without a quorum.*"),
]


class Expected:
    """The rules, compiled. Two servers of one kind may differ only in what depends on timing."""

    def __init__(self, same_kind):
        self.rules = [
            (re.compile(what), re.compile(key), how, reason, re.compile(roles[0] if roles else ".*"))
            for what, key, how, reason, *roles in RULES
        ]
        if same_kind:
            # Both servers have all values, but their numbers depend on timing.
            self.rules = [(what, key, numbers if how is not_here else how, *rest)
                          for what, key, how, *rest in self.rules]

    def reason(self, role, what, key, theirs, ours):
        """Returns the reason why these values may differ, or None if they may not."""
        if theirs == ours:
            return "equal"
        name = canonical(what, key)
        for where, keys, how, reason, roles in self.rules:
            if where.fullmatch(what) and roles.fullmatch(role) and how(theirs, ours):
                # A rule about metrics may match only the end or the beginning of the name, others match the whole key.
                is_part = where.pattern.startswith(METRICS) and (
                    keys.pattern.endswith("$") and keys.search(name)
                    or keys.pattern.startswith(("jvm_", "process_")) and keys.match(name))
                if is_part or keys.fullmatch(name):
                    return reason
        return None

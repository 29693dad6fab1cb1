#!/usr/bin/env bash
# Installs the foreign peers, builds, and runs the suites. Apart from a Rust toolchain, the machine needs no
# preparation.
#
#     tests/run.sh                       all suites, in less than 50 minutes on two cores
#     tests/run.sh differential kazoo    some of them
#     tests/run.sh --long [SUITE...]     the same with all that takes longer, by hand: some hours
#     tests/run.sh --list                the suites' names
#
# SUBJECT=java:3.9.5 puts a Java server in our server's place, to test the tests.
# The last line is `N passed, N failed`; the exit code is not 0 when anything failed.
set -euo pipefail
# shellcheck source=tests/peers/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/peers/env.sh"
cd "$REPO_DIR"

SUITES=(build unit ignored differential clients kazoo crash datadirs ensemble reconfig rolling chaos storm soak)
# Pairs of suites that run at the same time. They only compare answers and files, so their speed does not matter.
declare -A BESIDE=([datadirs]=crash [clients]=kazoo)
SUBJECT="${SUBJECT:-ours}"
JAVA="java:3.9.5"
LOGS="$TESTS_WORK_DIR/logs"
LONG=no

# by_length SHORT LONG: prints LONG with --long, else SHORT.
by_length() { if [ "$LONG" = yes ]; then echo "$2"; else echo "$1"; fi; }

# run_tests ARGUMENTS: the tests of this package. A test binary that fails does not keep the others from running.
run_tests() { cargo test --locked --no-fail-fast "$@"; }

# The peers are installed before the suites run. A peer that cannot be installed is a failure; nothing is skipped.
suite_peers() { tests/peers/install.sh; }
suite_build() {
    local tests=""
    # Both builds run at the same time, because a release build uses only one thread for much of its time.
    case " ${wanted[*]} " in
    *" unit "* | *" ignored "* | *" crash "*)
        cargo test --locked --no-run &
        tests=$!
        ;;
    esac
    if [ "$SUBJECT" = ours ]; then
        cargo build --release --locked
    fi
    if [ -n "$tests" ]; then wait "$tests"; fi
    echo "PASS build ($SUBJECT is tested)"
}
# Most tests have few clients, which the server gives threads. Those about connections run again with selectors only,
# and some of them with workers, too.
suite_unit() {
    local code=0 test
    local -a again=()
    run_tests || code=1
    for test in auth client deadlines limits long_transactions quorum_clients quorum_requests_come_back \
        standalone_bad_input standalone_bounds standalone_connections; do
        again+=(--test "$test")
    done
    local selectors=-Dzookeeper.nio.maxReaderThreads=0
    ZOOKEEPER_TEST_FLAGS=$selectors run_tests "${again[@]}" || code=1
    ZOOKEEPER_TEST_FLAGS="$selectors -Dzookeeper.nio.numWorkerThreads=2" \
        run_tests --test standalone_bounds --test standalone_connections || code=1
    return "$code"
}
# By default, cargo ignores tests that need a peer, and long ones. Left out here are tests with a suite of their own,
# and ensembles of only Java's servers, which test the tests. Without --long, the tests of a million bad frames send a
# tenth of them, because the soak sends more.
suite_ignored() {
    local code=0 log="$LOGS/ignored.long.log" learner_log="$LOGS/ignored.learner.log" long learner file
    local -a others=(--bins)
    for file in tests/*.rs; do
        case "$file" in
        tests/hostile_decoders.rs | tests/quorum_learner_java.rs | tests/storm.rs) ;;
        *) others+=(--test "$(basename "$file" .rs)") ;;
        esac
    done
    # These run at the same time as the others: each needs only a processor, for a minute.
    run_tests --lib --test hostile_decoders -- --ignored >"$log" 2>&1 &
    long=$!
    # And this one mostly waits for servers that start.
    run_tests --test quorum_learner_java -- --ignored >"$learner_log" 2>&1 &
    learner=$!
    run_tests "${others[@]}" -- --ignored --skip a_hundred_kills --skip ::java --skip a_million_ ||
        code=1
    run_tests --test standalone_bad_input --test quorum_bad_peers -- --ignored a_million_ \
        "frames=$(by_length 100000 1000000)" || code=1
    wait "$long" || code=1
    wait "$learner" || code=1
    cat "$log" "$learner_log"
    if [ "$LONG" = yes ]; then
        cargo test --locked --test hostile_decoders -- --ignored decoder seconds=60 || code=1
    fi
    return "$code"
}
suite_crash() {
    cargo test --locked --test crash -- --ignored --nocapture a_hundred_kills "rounds=$(by_length 100 2000)"
}
# Ten thousand clients at once, against the release binary. The clients are a release build, too, because they use the
# same processors.
suite_storm() { cargo test --locked --release --test storm -- --ignored --nocapture --test-threads=1; }
suite_differential() {
    local code=0
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" || code=1
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" --random "$(by_length 3 100)" || code=1
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" --members 3 || code=1
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" --members 3 \
        --random "$(by_length 1 20)" --on follower || code=1
    python3 tests/differential/members.py --left "$JAVA" --right "$SUBJECT" || code=1
    python3 tests/differential/collectors.py --left "$JAVA" --right "$SUBJECT" || code=1
    return "$code"
}
suite_clients() {
    local code=0
    python3 tests/differential/clients.py --left "$JAVA" --right "$SUBJECT" || code=1
    python3 tests/differential/clients.py --left "$JAVA" --right "$SUBJECT" --members 3 || code=1
    python3 tests/ensemble/sessions.py --members "$SUBJECT,$SUBJECT,$SUBJECT,$SUBJECT:observer" || code=1
    return "$code"
}
suite_kazoo() { python3 tests/kazoo/run.py --left "$JAVA" --right "$SUBJECT"; }
suite_datadirs() { python3 tests/datadirs/run.py --subject "$SUBJECT"; }
# All scenarios run with three voters, those that depend on the number of voters with five, those that concern observers
# with observers, and the short one with every Java version. With --long, all scenarios run with each of the ensembles,
# and those that depend on versions with every Java version.
suite_ensemble() {
    local code=0 s="$SUBJECT" five=() observers=() matrix=(short)
    if [ "$LONG" = no ]; then
        five=(follower_killed leader_killed minority_refuses all_killed paused_leader)
        observers=(serves ephemerals diff snap trunc leader_killed all_killed)
    else
        matrix=()
    fi
    python3 tests/ensemble/run.py --members "$s,$s,$s" || code=1
    python3 tests/ensemble/run.py --members "$s,$s,$s,$s,$s" "${five[@]}" || code=1
    python3 tests/ensemble/run.py --members "$s,$s,$s,$s:observer,$s:observer" "${observers[@]}" || code=1
    python3 tests/ensemble/run.py --matrix "$s" "${matrix[@]}" || code=1
    if [ "$s" != ours ]; then
        python3 tests/ensemble/observer_masters.py --members "$s,$s,$s,$s:observer,$s:observer" || code=1
    elif [ "$LONG" = no ]; then
        python3 tests/ensemble/observer_masters.py --versions 3.6.4,3.9.5 || code=1
    else
        python3 tests/ensemble/observer_masters.py || code=1
    fi
    return "$code"
}
# One script of changes on Java's servers, on ours and on mixes of both; random changes with kills; and a move of all
# members to other machines, from ours and from Java's.
suite_reconfig() {
    local code=0 s="$SUBJECT" old
    python3 tests/reconfig/run.py --subject "$s" || code=1
    python3 tests/reconfig/kills.py --members "$s,$s,$s,$s,$s" --rounds "$(by_length 20 300)" || code=1
    for old in "$s" "$JAVA" $(by_length "" "java:3.8.6 java:3.5.10"); do
        python3 tests/reconfig/move.py --old "$old" --new "$s" || code=1
    done
    return "$code"
}
# Runs with the oldest and the newest Java version, and with --long with all. The newest one, and with --long each one,
# also runs with the leader first and without keeping data.
suite_rolling() {
    local code=0 version v
    for version in $(by_length "3.4.14 3.9.5" "${JAVA_VERSIONS[*]}"); do
        v="java:$version"
        python3 tests/rolling/run.py --members "$v,$v,$v" --to "$SUBJECT" --back || code=1
        if [ "$LONG" = yes ] || [ "$version" = 3.9.5 ]; then
            python3 tests/rolling/run.py --members "$v,$v,$v" --to "$SUBJECT" --back --fresh --leader-first ||
                code=1
        fi
    done
    return "$code"
}
# Takes about 6 minutes. A fault takes some 8 s. The runs share one deck of 30 kinds of faults: each run continues where
# the one before stopped. Three of them also change the ensemble all the time. A run with a seeded fault, which loses or
# repeats an acknowledged write, must fail.
suite_chaos() {
    local code=0 s="$SUBJECT" factor run members seconds skip reconfig fault
    local -a runs=(
        "$s,$s,$s 90 0" "$s,$s,$s,$s,$s 50 11 --reconfig" "$s,$s,$s,$s:observer 40 17 --reconfig"
        "$s,java:3.9.5,$s 35 22 --reconfig" "java:3.4.14,$s,$s 35 26"
    )
    if [ "$LONG" = yes ]; then runs+=("$s,$s,$s 40 8 --reconfig" "java:3.9.5,$s,java:3.8.6 35 4 --reconfig"); fi
    factor="$(by_length 1 20)"
    for run in "${runs[@]}"; do
        read -r members seconds skip reconfig <<<"$run"
        # shellcheck disable=SC2086
        python3 tests/chaos/run.py --members "$members" --seconds $((seconds * factor)) --seed 1 \
            --skip "$skip" $reconfig || code=1
    done
    for fault in forget repeat; do
        must_fail "chaos/seeded fault: $fault" " WRONG" python3 tests/chaos/run.py --members "$s,$s,$s" --seconds 16 \
            --seed 1 --seeded-fault "$fault" || code=1
    done
    return "$code"
}
# must_fail NAME WORDS COMMAND...: runs a command with a seeded fault. It must find the fault: fail and print WORDS.
must_fail() {
    local name="$1" words="$2" output code=0
    shift 2
    if output="$("$@")"; then code=1; fi
    sed 's/^FAIL /failed as it must: /; s/^PASS /passed all the same: /' <<<"$output"
    case "$output" in
    *"SEEDED FAULT"*"$words"*) ;;
    *) code=1 ;;
    esac
    if [ "$code" = 0 ]; then echo "PASS $name"; else echo "FAIL $name"; fi
    return "$code"
}
# Attacks every port and role with hostile clients. The attacks of the short run are the same each time, and its limit for
# an answer is 2 s, because it also runs on slow machines that share their processors. With --long, it is 1 s.
suite_soak() {
    if [ "$LONG" = no ]; then
        python3 tests/soak/run.py --member "$SUBJECT" --seconds 600 --seed 1 --answer-seconds 2
        return
    fi
    local code=0
    python3 tests/soak/run.py --member "$SUBJECT" --seconds 3600 || code=1
    must_fail "soak/seeded fault: lose-node" "FAIL soak/standalone: no write is lost" python3 tests/soak/run.py \
        --roles standalone --seconds 10 --seeded-fault lose-node || code=1
    must_fail "soak/seeded fault: pause" "FAIL soak/standalone: answers" python3 tests/soak/run.py \
        --roles standalone --seconds 10 --seeded-fault pause || code=1
    return "$code"
}

passed=0 failed=0
summary=() failures=()
# The suites that run at the same time as another one.
declare -A has_run=()

# count FILE: adds up the verdicts in a suite's output, our own and those of cargo test.
count() {
    awk '
        /^PASS / { good++ }
        /^FAIL / { bad++ }
        /^test result: / { good += $4; bad += $6 }
        END { print good + 0, bad + 0 }' "$1"
}

# what_failed FILE: prints the failures in a suite's output, the lines before each, and the panics of cargo's tests.
what_failed() {
    awk '
        / panicked at / { more = 6 }
        /^stack backtrace:|^note: / { more = 0 }
        /^FAIL / { for (i = (said > 12 ? said - 12 : 0); i < said; i++) print line[i] }
        more-- > 0 || /^FAIL / || /^test .* FAILED$/
        { line[said++] = $0 }
        /^(PASS|FAIL|===) / || / panicked at / { said = 0 }' "$1"
}

# run NAME: runs a suite, which ends at its first error.
run() {
    set -euo pipefail
    "suite_$1"
}

# account NAME CODE SECONDS: adds the result of a suite to the totals.
account() {
    local name="$1" code="$2" log="$LOGS/$1.log" good bad
    read -r good bad < <(count "$log")
    # A suite that breaks off or prints no verdict has failed.
    if [ "$code" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    if [ "$good" = 0 ] && [ "$bad" = 0 ] && [ "$name" != peers ] && [ "$name" != ignored ]; then
        bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad))
    if [ "$bad" != 0 ]; then failures+=("=== failures of $name" "$(what_failed "$log")"); fi
    summary+=("$(printf '%-14s %4d passed %4d failed %5d s' "$name" "$good" "$bad" "$3")")
}

run_suite() {
    local name="$1" started=$SECONDS code=0
    echo "=== $name"
    # Not inside `if`, where bash would ignore errors in the suite.
    set +e
    (run "$name") 2>&1 | tee "$LOGS/$name.log"
    code=${PIPESTATUS[0]}
    set -e
    account "$name" "$code" $((SECONDS - started))
}

# run_beside FIRST SECOND: runs two suites at the same time. Shows the output of the second when both have ended.
run_beside() {
    local name="$2" started=$SECONDS code seconds second
    (
        set +e
        (run "$name") >"$LOGS/$name.log" 2>&1
        echo $? $((SECONDS - started)) >"$LOGS/$name.end"
    ) &
    second=$!
    run_suite "$1"
    wait "$second"
    read -r code seconds <"$LOGS/$name.end"
    echo "=== $name (beside $1)"
    cat "$LOGS/$name.log"
    account "$name" "$code" "$seconds"
}

is_wanted() { case " ${wanted[*]} " in *" $1 "*) true ;; *) false ;; esac; }

list=no wanted=()
for word in "$@"; do
    case "$word" in
    --long) LONG=yes ;;
    --list) list=yes ;;
    -*) die "there is no option '$word'; there are --long and --list" ;;
    *) wanted+=("$word") ;;
    esac
done
if [ "$list" = yes ]; then
    printf '%s\n' "${SUITES[@]}"
    exit 0
fi
if [ ${#wanted[@]} = 0 ]; then wanted=("${SUITES[@]}"); fi
for name in "${wanted[@]}"; do
    case " ${SUITES[*]} " in
    *" $name "*) ;;
    *) die "there is no suite '$name'; there are: ${SUITES[*]}" ;;
    esac
done

if [ "$SUBJECT" = ours ] && ! cargo --version >/dev/null; then
    die "there is no Rust toolchain: install rustup, or put cargo on PATH"
fi
mkdir -p "$LOGS"
started=$SECONDS
# The suites test a binary of the present sources. `unit` and `crash` build what they need themselves.
for name in "${wanted[@]}"; do
    case "$name" in
    build | unit | crash) ;;
    storm | soak) build=yes ;;
    *) peers=yes build=yes ;;
    esac
done
if [ "${peers:-no}" = yes ]; then
    # The network is as slow as the compiler, so both run at the same time.
    run_beside build peers
    has_run[build]=yes
elif [ "${build:-no}" = yes ] && ! is_wanted build; then
    run_suite build
fi
if [ "$failed" = 0 ]; then
    for first in "${!BESIDE[@]}"; do
        if is_wanted "$first"; then has_run[${BESIDE[$first]}]=yes; fi
    done
    for name in "${wanted[@]}"; do
        second="${BESIDE[$name]:-}"
        if [ "${has_run[$name]:-no}" = yes ]; then
            continue # beside another one
        elif [ -n "$second" ] && is_wanted "$second"; then
            run_beside "$name" "$second"
        else
            run_suite "$name"
        fi
    done
else
    echo "the peers or the build failed: no suite can run"
fi

if [ "$failed" != 0 ]; then printf '%s\n' "${failures[@]}"; fi
echo "=== summary"
printf '%s\n' "${summary[@]}"
printf '%-14s %32d s\n' total $((SECONDS - started))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

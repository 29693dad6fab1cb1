#!/usr/bin/env bash
# Tests everything, on a machine that need not be prepared: installs the foreign peers, builds, runs
# every suite.
#
#     tests/run.sh                       all suites
#     tests/run.sh differential kazoo    some of them
#     tests/run.sh --list                their names
#
# SUBJECT=java:3.9.5 puts a Java server in our server's place, to test the tests.
# The last line is `N passed, N failed`; the exit code is not 0 when anything failed.
set -euo pipefail
# shellcheck source=tests/peers/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/peers/env.sh"
cd "$REPO_DIR"

SUITES=(build unit ignored crash differential clients kazoo datadirs ensemble rolling chaos)
SUBJECT="${SUBJECT:-ours}"
JAVA="java:3.9.5"
LOGS="$TESTS_WORK_DIR/logs"

# What each suite needs of the peers comes first: a peer that cannot be had is a failure, not a skip.
suite_peers() { tests/peers/install.sh; }
suite_build() {
    local tests=""
    # Beside each other: much of a release build has one thread.
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
suite_unit() { cargo test --locked; }
# Tests that need a peer are ignored by default, and so are long ones. Left out: those of suites of their own, and
# ensembles of Java's servers alone, which test the tests.
suite_ignored() {
    local code=0 log="$LOGS/ignored.long.log" long file
    local -a others=(--bins)
    for file in tests/*.rs; do
        case "$file" in
        tests/hostile_decoders.rs) ;;
        *) others+=(--test "$(basename "$file" .rs)") ;;
        esac
    done
    # Beside the others: these need a processor for a minute each, and nothing else.
    cargo test --locked --lib --test hostile_decoders -- --ignored >"$log" 2>&1 &
    long=$!
    cargo test --locked "${others[@]}" -- --ignored --skip a_hundred_kills --skip ::java || code=1
    wait "$long" || code=1
    cat "$log"
    return "$code"
}
suite_crash() { cargo test --locked --test crash -- --ignored --nocapture a_hundred_kills; }
suite_differential() {
    local code=0
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" || code=1
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" --random 3 || code=1
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" --members 3 || code=1
    python3 tests/differential/run.py --left "$JAVA" --right "$SUBJECT" --members 3 --random 1 \
        --on follower || code=1
    python3 tests/differential/members.py --left "$JAVA" --right "$SUBJECT" || code=1
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
# With every Java version the short scenario; `tests/ensemble/run.py --matrix ours` has more of them, and takes longer.
suite_ensemble() {
    local code=0 s="$SUBJECT"
    python3 tests/ensemble/run.py --members "$s,$s,$s" --members "$s,$s,$s,$s,$s" \
        --members "$s,$s,$s,$s:observer,$s:observer" || code=1
    python3 tests/ensemble/run.py --matrix "$s" short || code=1
    return "$code"
}
suite_rolling() {
    local code=0 version v
    for version in 3.4.14 3.6.4 3.9.5; do
        v="java:$version"
        python3 tests/rolling/run.py --members "$v,$v,$v" --to "$SUBJECT" --back || code=1
    done
    python3 tests/rolling/run.py --members "$v,$v,$v" --to "$SUBJECT" --back --fresh --leader-first || code=1
    return "$code"
}
# About 8 minutes. What loses or repeats a write that was acknowledged has to fail.
suite_chaos() {
    local code=0 s="$SUBJECT" seed=1 run fault name output
    local -a runs=(
        "$s,$s,$s 180" "$s,$s,$s,$s,$s 50" "$s,$s,$s,$s:observer 40"
        "$s,java:3.9.5,$s 40" "java:3.4.14,$s,$s 40"
    )
    for run in "${runs[@]}"; do
        python3 tests/chaos/run.py --members "${run% *}" --seconds "${run#* }" --seed "$seed" || code=1
        seed=$((seed + 1))
    done
    for fault in forget repeat; do
        name="chaos/seeded fault: $fault"
        if output="$(python3 tests/chaos/run.py --members "$s,$s,$s" --seconds 16 --seed 1 \
            --seeded-fault "$fault")"; then
            code=1
        fi
        sed 's/^FAIL /failed as it must: /; s/^PASS /passed, and must not: /' <<<"$output"
        case "$output" in
        *"SEEDED FAULT"*" WRONG"*) echo "PASS $name" ;;
        *) echo "FAIL $name" && code=1 ;;
        esac
    done
    return "$code"
}

passed=0 failed=0
summary=() failures=()

# count FILE: adds up the verdicts in a suite's output, our own and those of cargo test.
count() {
    awk '
        /^PASS / { good++ }
        /^FAIL / { bad++ }
        /^test result: / { good += $4; bad += $6 }
        END { print good + 0, bad + 0 }' "$1"
}

# what_failed FILE: the verdicts of what failed, and what tests of cargo panicked with.
what_failed() {
    awk '
        / panicked at / { more = 6 }
        /^stack backtrace:|^note: / { more = 0 }
        more-- > 0 || /^FAIL / || /^test .* FAILED$/' "$1"
}

run_suite() {
    local name="$1" log="$LOGS/$1.log" started=$SECONDS code=0 good bad
    echo "=== $name"
    # Not inside `if`, where bash would ignore errors in the suite.
    set +e
    (
        set -euo pipefail
        "suite_$name"
    ) 2>&1 | tee "$log"
    code=${PIPESTATUS[0]}
    set -e
    read -r good bad < <(count "$log")
    # A suite that breaks off, or that has nothing to say, has failed.
    if [ "$code" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    if [ "$good" = 0 ] && [ "$bad" = 0 ] && [ "$name" != peers ] && [ "$name" != ignored ]; then
        bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad))
    if [ "$bad" != 0 ]; then failures+=("=== failures of $name" "$(what_failed "$log")"); fi
    summary+=("$(printf '%-14s %4d passed %4d failed %5d s' "$name" "$good" "$bad" \
        $((SECONDS - started)))")
    return 0
}

wanted=("$@")
case "${1:-}" in
--list)
    printf '%s\n' "${SUITES[@]}"
    exit 0
    ;;
"") wanted=("${SUITES[@]}") ;;
esac
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
case " ${wanted[*]} " in
*" ignored "* | *" differential "* | *" clients "* | *" kazoo "* | *" datadirs "* | \
    *" ensemble "* | *" rolling "* | *" chaos "*)
    run_suite peers
    # The suites test the binary as it is now.
    case " ${wanted[*]} " in
    *" build "*) ;;
    *) run_suite build ;;
    esac
    ;;
esac
if [ "$failed" = 0 ]; then
    for name in "${wanted[@]}"; do run_suite "$name"; done
else
    echo "the peers or the build failed: no suite can run"
fi

if [ "$failed" != 0 ]; then printf '%s\n' "${failures[@]}"; fi
echo "=== summary"
printf '%s\n' "${summary[@]}"
printf '%-14s %32d s\n' total $((SECONDS - started))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

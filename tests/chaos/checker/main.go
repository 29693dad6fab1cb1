// The checker of histories that tests/chaos/run.py writes.
//
//	chaos_checker [-strict-sync=false] [-timeout 60s] HISTORY
//
// Prints what is wrong; ends with 1 when anything is. With -strict-sync=false a read behind a sync that
// was old is told, but is no fault: Java's leader answers a sync without asking whether it still leads.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

const mostToPrint = 10

// report prints and counts what is wrong.
func report(rule string, wrong []string, counts bool) int {
	word := "ok"
	if len(wrong) > 0 {
		word = fmt.Sprintf("%d WRONG", len(wrong))
		if !counts {
			word = fmt.Sprintf("%d wrong, not counted", len(wrong))
		}
	}
	fmt.Printf("checker: %s: %s\n", rule, word)
	for i, text := range wrong {
		if i == mostToPrint {
			fmt.Printf("  ... and %d more\n", len(wrong)-i)
			break
		}
		fmt.Println("  " + text)
	}
	if counts {
		return len(wrong)
	}
	return 0
}

func main() {
	strict := flag.Bool("strict-sync", true, "reads behind a sync must be linearizable")
	timeout := flag.Duration("timeout", time.Minute, "for each register")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: chaos_checker [-strict-sync=false] [-timeout 60s] HISTORY")
		os.Exit(2)
	}
	path := flag.Arg(0)
	history, err := read(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos_checker:", err)
		os.Exit(2)
	}
	picture := strings.TrimSuffix(path, ".jsonl")
	wrong := report("writes are linearizable",
		linearizable(history, false, *timeout, picture+"-writes"), true)
	wrong += report("reads behind a sync are linearizable",
		linearizable(history, true, *timeout, picture+"-reads"), *strict)
	wrong += report("zxids follow time", zxidsFollowTime(history), true)
	wrong += report("sessions never go back", sessionsGoForward(history), true)
	wrong += report("what is read was written", readsAreOfWrites(history), true)
	wrong += report("sequence numbers grow", sequencesGrow(history), true)
	wrong += report("what clients found themselves", noViolations(history), true)
	if len(history) == 0 {
		wrong += report("there is a history", []string{"it is empty"}, true)
	}
	if wrong > 0 {
		os.Exit(1)
	}
}

package main

import (
	"testing"
	"time"
)

// at makes an entry of one client from call and return times.
func at(client int, call, end int64, op, key string) *Entry {
	return &Entry{Client: client, Session: "1", Op: op, Key: key, Call: call, Return: end, Err: ok}
}

func create(client int, call, end, zxid int64, value string) *Entry {
	e := at(client, call, end, "create", "/r0")
	e.Value, e.Zxid = value, zxid
	return e
}

func set(client int, call, end, zxid int64, value string, version, got int32) *Entry {
	e := at(client, call, end, "set", "/r0")
	e.Value, e.Zxid, e.Mzxid, e.Version, e.GotVer = value, zxid, zxid, version, got
	return e
}

func syncRead(client int, call, end, zxid, mzxid int64, value string, version int32) *Entry {
	e := at(client, call, end, "sync read", "/r0")
	e.Zxid, e.Mzxid, e.GotData, e.GotVer = zxid, mzxid, value, version
	return e
}

func faults(t *testing.T, syncReads bool, history ...*Entry) int {
	return len(linearizable(history, syncReads, time.Minute, t.TempDir()+"/p"))
}

func expect(t *testing.T, what string, got, wanted int) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: %d faults, not %d", what, got, wanted)
	}
}

func TestOrderedAnswersAreLinearizable(t *testing.T) {
	expect(t, "in order", faults(t, true,
		create(0, 1, 2, 1, "a"), set(1, 3, 4, 2, "b", 0, 1), syncRead(2, 5, 6, 2, 2, "b", 1)), 0)
}

func TestAnOldReadBehindASyncIsFoundWhereItCounts(t *testing.T) {
	history := []*Entry{create(0, 1, 2, 1, "a"), set(1, 3, 4, 2, "b", 0, 1), syncRead(2, 5, 6, 1, 1, "a", 0)}
	expect(t, "strict", faults(t, true, history...), 1)
	expect(t, "not strict", faults(t, false, history...), 0)
}

func TestALostWriteIsFoundByTheLastLook(t *testing.T) {
	expect(t, "lost", faults(t, false,
		create(0, 1, 2, 1, "a"), set(1, 3, 4, 2, "b", 0, 1), syncRead(lastLook, 5, 6, 1, 1, "a", 0)), 1)
}

func TestAWriteWithoutAnAnswerMayBeDoneLateOrNever(t *testing.T) {
	unknown := set(1, 3, 0, 0, "b", 0, 0)
	made := create(0, 1, 2, 1, "a")
	expect(t, "late", faults(t, true, made, unknown,
		syncRead(2, 5, 6, 1, 1, "a", 0), syncRead(2, 7, 8, 2, 2, "b", 1)), 0)
	expect(t, "never", faults(t, true, made, unknown, syncRead(2, 5, 6, 1, 1, "a", 0)), 0)
	expect(t, "done and undone", faults(t, true, made, unknown,
		syncRead(2, 5, 6, 2, 2, "b", 1), syncRead(2, 7, 8, 1, 1, "a", 0)), 1)
}

func TestTwoWritesOfOneVersionAreFound(t *testing.T) {
	expect(t, "twice", faults(t, false,
		create(0, 1, 2, 1, "a"), set(1, 3, 6, 2, "b", 0, 1), set(2, 4, 5, 3, "c", 0, 1)), 1)
}

func TestZxidsThatDoNotFollowTimeAreFound(t *testing.T) {
	expect(t, "in order", len(zxidsFollowTime([]*Entry{create(0, 1, 2, 5, "a"), create(1, 3, 4, 6, "b")})), 0)
	expect(t, "at once", len(zxidsFollowTime([]*Entry{create(0, 1, 4, 6, "a"), create(1, 3, 5, 5, "b")})), 0)
	expect(t, "back", len(zxidsFollowTime([]*Entry{create(0, 1, 2, 5, "a"), create(1, 3, 4, 4, "b")})), 1)
	expect(t, "equal", len(zxidsFollowTime([]*Entry{create(0, 1, 4, 5, "a"), create(1, 3, 5, 5, "b")})), 1)
}

func TestASessionThatGoesBackIsFound(t *testing.T) {
	history := []*Entry{syncRead(0, 1, 2, 9, 3, "b", 1), syncRead(0, 3, 4, 8, 3, "b", 1)}
	expect(t, "zxid", len(sessionsGoForward(history)), 1)
	history = []*Entry{syncRead(0, 1, 2, 9, 3, "b", 1), syncRead(0, 3, 4, 9, 2, "a", 0)}
	expect(t, "register", len(sessionsGoForward(history)), 1)
	history[1].Session = "2"
	expect(t, "two sessions", len(sessionsGoForward(history)), 0)
}

func TestAValueThatNobodyWroteIsFound(t *testing.T) {
	made := create(0, 1, 2, 1, "a")
	expect(t, "written", len(readsAreOfWrites([]*Entry{made, syncRead(1, 3, 4, 1, 1, "a", 0)})), 0)
	expect(t, "not written", len(readsAreOfWrites([]*Entry{made, syncRead(1, 3, 4, 1, 1, "x", 0)})), 1)
}

func TestANumberThatComesTwiceIsFound(t *testing.T) {
	number := func(zxid int64, path string) *Entry {
		e := at(0, zxid, zxid, "sequence", "/sequence/n-")
		e.Zxid, e.Path = zxid, path
		return e
	}
	expect(t, "growing", len(sequencesGrow([]*Entry{number(2, "/s/n-0000000009"), number(1, "/s/n-0000000008")})), 0)
	expect(t, "twice", len(sequencesGrow([]*Entry{number(1, "/s/n-0000000008"), number(2, "/s/n-0000000008")})), 1)
}

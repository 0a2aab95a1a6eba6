package mmapfile_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// faultingView returns a view whose bytes from 4096*8 on cannot be reached:
// what is protected behaves as what the file has lost.
func faultingView(t *testing.T) (*mmapfile.View, func(i int)) {
	t.Helper()
	f, _ := create(t, 1<<18)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 1<<16, 0)
	noErr(t, "protect", v.Protect(mmapfile.Read, 1<<16, 0))
	return v, func(i int) { v.Bytes()[i] = 1 }
}

func TestFaultGuarded(t *testing.T) {
	v, touch := faultingView(t)
	before := debug.SetPanicOnFault(false)
	defer debug.SetPanicOnFault(before)
	ran := false
	err := mmapfile.Guard(func() error {
		defer func() { ran = true }()
		touch(1<<16 + 7)
		return nil
	})
	var fault *mmapfile.FaultError
	if !errors.As(err, &fault) {
		t.Fatalf("got %v", err)
	}
	if fault.Offset != 1<<17+7 || !strings.HasSuffix(fault.Path, "file") || fault.Addr == 0 {
		t.Errorf("fault %+v", fault)
	}
	if _, ok := fault.Unwrap().(runtime.Error); !ok || !ran {
		t.Errorf("cause %v, deferred call ran: %v", fault.Cause, ran)
	}
	wantErr(t, "text", err)
	if debug.SetPanicOnFault(false) {
		t.Error("the guard stays armed")
	}
	text := errors.New("plain")
	if err := mmapfile.Guard(func() error { touch(0); return text }); err != text {
		t.Errorf("result %v", err)
	}
	noErr(t, "close", v.Close())
}

func TestFaultGuardLeavesOtherPanics(t *testing.T) {
	var nilPointer *int
	foreign := make([]byte, 1)
	for _, c := range []struct {
		name string
		fn   func()
		ok   func(r any) bool
	}{
		{"value", func() { panic(&foreign) }, func(r any) bool { return r == any(&foreign) }},
		{"nil pointer", func() { *nilPointer = 1 }, isRuntimeError},
		{"index", func() { foreign[len(os.Args)+5] = 1 }, isRuntimeError},
	} {
		got := func() (r any) {
			defer func() { r = recover() }()
			err := mmapfile.Guard(func() error { c.fn(); return nil })
			return fmt.Sprint("no panic but ", err)
		}()
		if !c.ok(got) {
			t.Errorf("%s: recovered %v", c.name, got)
		}
		if mmapfile.AsFault(got) != nil {
			t.Errorf("%s is a fault", c.name)
		}
	}
	exited := make(chan bool)
	go func() {
		returned := false
		defer func() { exited <- !returned && recover() == nil }()
		mmapfile.Guard(func() error { runtime.Goexit(); return nil })
		returned = true
	}()
	if !<-exited {
		t.Error("Goexit did not pass")
	}
}

func isRuntimeError(r any) bool {
	_, ok := r.(runtime.Error)
	return ok
}

func TestFaultGuardNestedAndConcurrent(t *testing.T) {
	_, touch := faultingView(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				outer := mmapfile.Guard(func() error {
					inner := mmapfile.Guard(func() error { touch(1 << 16); return nil })
					if inner == nil {
						t.Error("the inner guard saw nothing")
					}
					touch(1<<16 + 1) // the outer guard is still armed
					return nil
				})
				var fault *mmapfile.FaultError
				if !errors.As(outer, &fault) || fault.Offset != 1<<17+1 {
					t.Errorf("outer: %v", outer)
				}
			}
		})
	}
	wg.Wait()
}

func TestAsFault(t *testing.T) {
	_, touch := faultingView(t)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault := mmapfile.AsFault(recover())
		if fault == nil || fault.Offset != 1<<17 {
			t.Errorf("fault %v", fault)
		}
	}()
	touch(1 << 16)
}

func init() {
	// cut FILE: tries to make the file empty behind the back of this package.
	children["cut"] = func(c *childIO, args []string) error {
		if err := os.Truncate(args[0], 0); err != nil {
			c.say("refused")
			return nil
		}
		c.say("cut")
		return nil
	}
}

// A file that another process cuts under a view costs a fault, which is an
// error; on a system that refuses the cut, nothing happens.
func TestFaultFileCutByAnotherProcess(t *testing.T) {
	f, path := create(t, 1<<18)
	m := mapT(t, f, mmapfile.MapOptions{Protection: mmapfile.ProtReadWrite})
	v := viewT(t, m, mmapfile.Write, 1<<17, 0)
	copy(v.Bytes(), "here")
	child := startChild(t, "cut", path)
	answer := child.hear()
	child.finish()
	p := make([]byte, 4)
	_, readErr := v.ReadAt(p, 0)
	_, writeErr := v.WriteAt(p, 8192)
	if answer == "refused" {
		if readErr != nil || writeErr != nil || string(p) != "here" {
			t.Errorf("after a refused cut: %v, %v, %q", readErr, writeErr, p)
		}
		return
	}
	for i, err := range []error{readErr, writeErr} {
		var fault *mmapfile.FaultError
		if !errors.As(err, &fault) {
			t.Fatalf("got %v", err)
		}
		if fault.Path != path || fault.Offset != 1<<17+int64(i)*8192 {
			t.Errorf("fault %+v", fault)
		}
	}
	g, _ := create(t, 0)
	_, err := g.WriteAt(v.Bytes()[:100], 0)
	vecErr := g.WriteVec([][]byte{p, v.Bytes()[100:200]}, 0)
	for what, err := range map[string]error{"write": err, "write vec": vecErr} {
		var fault *mmapfile.FaultError
		if !errors.As(err, &fault) || fault.Path != path {
			t.Errorf("%s of lost bytes: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"flush": v.Flush(0, 0), "advise": v.Advise(mmapfile.WillNeed, 0, 0), "close": v.Close(),
	} {
		noErr(t, what, err)
	}
}

//go:build linux || darwin || openbsd

package mmapfile

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// What a call leaves unfinished is taken up where it stopped, and an interrupted
// call is made again.
func TestWriteChunksResumes(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var bufs [][]byte
		var want []byte
		for range r.IntN(3000) {
			b := make([]byte, r.IntN(4))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			bufs, want = append(bufs, b), append(want, b...)
		}
		var got []byte
		err := writeChunks(bufs, 100, func(chunk [][]byte, off int64) (int, error) {
			if r.IntN(4) == 0 {
				return 0, unix.EINTR
			}
			if off != int64(100+len(got)) || len(chunk) > iovMax {
				t.Fatalf("seed %d: %d buffers at %d", seed, len(chunk), off)
			}
			all := bytes.Join(chunk, nil)
			n := 1 + r.IntN(len(all))
			got = append(got, all[:n]...)
			return n, nil
		})
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %v, %d of %d bytes", seed, err, len(got), len(want))
		}
	}
}

func TestWriteChunksFails(t *testing.T) {
	bufs := [][]byte{[]byte("text")}
	err := writeChunks(bufs, 0, func([][]byte, int64) (int, error) { return 0, unix.EIO })
	if !errors.Is(err, unix.EIO) {
		t.Errorf("got %v", err)
	}
	err = writeChunks(bufs, 0, func([][]byte, int64) (int, error) { return 0, nil })
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a call that writes nothing: %v", err)
	}
	if string(bufs[0]) != "text" {
		t.Errorf("the caller's buffers changed: %q", bufs)
	}
}

// A buffer longer than a call may be given is cut, without copying it.
func TestFillChunkCutsLongBuffers(t *testing.T) {
	long := longBytes(t, writeMax+10)
	chunk, rest, more := fillChunk(nil, [][]byte{{1}, long, {2}})
	if !more || len(chunk) != 2 || len(chunk[1]) != writeMax-1 {
		t.Fatalf("%d buffers, %v", len(chunk), more)
	}
	chunk, rest, _ = fillChunk(chunk, rest)
	if len(chunk) != 2 || len(chunk[0]) != 11 || len(chunk[1]) != 1 || len(rest) != 0 {
		t.Fatalf("%d buffers, %d left", len(chunk), len(rest))
	}
}

// longBytes returns n bytes that take up address space alone.
func longBytes(t *testing.T, n int) []byte {
	t.Helper()
	m, err := MapMemory(MapOptions{Size: int64(n), Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	v, err := m.View(Read, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(v.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return v.Bytes()
}

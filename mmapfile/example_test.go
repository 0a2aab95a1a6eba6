package mmapfile_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// A file is created for nobody else, mapped, written to through a view, and
// read back.
func Example() {
	dir, err := os.MkdirTemp("", "example-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "greeting")

	file, err := mmapfile.Open(path, mmapfile.Options{
		Access:      mmapfile.ReadWrite,
		Share:       mmapfile.ShareNone,
		Disposition: mmapfile.CreateAlways,
	})
	if err != nil {
		log.Fatal(err)
	}
	mapping, err := file.Map(mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite,
		Size:       1024,
	})
	if err != nil {
		log.Fatal(err)
	}
	view, err := mapping.View(mmapfile.AllAccess, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	copy(view.Bytes(), "Hello from a mapped file!")

	for _, c := range []interface{ Close() error }{view, mapping, file} {
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes: %s\n", len(text), bytes.TrimRight(text, "\x00"))
	// Output: 1024 bytes: Hello from a mapped file!
}

func init() { children["waiter"] = waiter }

// waiter is what the second process of ExampleOpenNamed does: it opens the
// mapping by its name, waits until something is in it, and prints that.
func waiter(_ *childIO, args []string) error {
	mapping, err := mmapfile.OpenNamed(args[0], mmapfile.ReadWrite)
	if err != nil {
		return err
	}
	defer mapping.Close()
	view, err := mapping.View(mmapfile.ReadWrite, 0, 0)
	if err != nil {
		return err
	}
	defer view.Close()
	written, err := view.Event(0)
	if err != nil {
		return err
	}
	if _, err := written.Wait(context.Background(), 0); err != nil {
		return err
	}
	text := view.Bytes()[8:]
	fmt.Printf("received: %s\n", text[:bytes.IndexByte(text, 0)])
	return nil
}

// Two processes share memory by a name: this one writes, the other one waits.
func ExampleOpenNamed() {
	name := fmt.Sprintf("mmapfile-example-%d", os.Getpid())
	mapping, err := mmapfile.MapMemory(mmapfile.MapOptions{
		Protection: mmapfile.ProtReadWrite,
		Size:       4096,
		Name:       name,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer mapping.Close()
	view, err := mapping.View(mmapfile.ReadWrite, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer view.Close()
	written, err := view.Event(0)
	if err != nil {
		log.Fatal(err)
	}

	other, err := childCommand("waiter", name) // runs the function waiter
	if err != nil {
		log.Fatal(err)
	}
	var out bytes.Buffer
	other.Stdout, other.Stderr = &out, os.Stderr
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}
	copy(view.Bytes()[8:], "shared by name\x00")
	if err := written.Signal(); err != nil {
		log.Fatal(err)
	}
	if err := other.Wait(); err != nil {
		log.Fatal(err)
	}
	fmt.Print(out.String())
	// Output: received: shared by name
}

// A program changes its configuration in memory, and the file stays as it is.
func ExampleMapping_View_copyOnWrite() {
	dir, err := os.MkdirTemp("", "example-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "config")
	if err := os.WriteFile(path, []byte("level=info\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	file, err := mmapfile.Open(path, mmapfile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	mapping, err := file.Map(mmapfile.MapOptions{Protection: mmapfile.ProtWriteCopy})
	if err != nil {
		log.Fatal(err)
	}
	defer mapping.Close()
	view, err := mapping.View(mmapfile.Copy, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer view.Close()

	copy(view.Bytes()[len("level="):], "warn")
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("view: %sfile: %s", view.Bytes(), text)
	// Output:
	// view: level=warn
	// file: level=info
}

// A file that is larger than a 32-bit address space is read in windows.
func ExampleMapping_View_windows() {
	const (
		size   = int64(6) << 30
		window = 16 << 20
	)
	dir, err := os.MkdirTemp("", "example-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, err := mmapfile.Open(filepath.Join(dir, "large"), mmapfile.Options{
		Access: mmapfile.ReadWrite, Disposition: mmapfile.CreateNew,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil { // a hole: it takes no room
		log.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("needle"), 5<<30+123); err != nil {
		log.Fatal(err)
	}

	mapping, err := file.Map(mmapfile.MapOptions{Protection: mmapfile.ProtRead})
	if err != nil {
		log.Fatal(err)
	}
	defer mapping.Close()
	found := false
	for off := int64(5)<<30 - 2*window; !found && off < mapping.Size(); off += window {
		view, err := mapping.View(mmapfile.Read, off, int(min(window, mapping.Size()-off)))
		if err != nil {
			log.Fatal(err)
		}
		// Should somebody cut the file meanwhile, that is an error, not a crash.
		err = mmapfile.Guard(func() error {
			if i := bytes.Index(view.Bytes(), []byte("needle")); i >= 0 {
				fmt.Println("found at", off+int64(i))
				found = true
			}
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
		if err := view.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output: found at 5368709243
}

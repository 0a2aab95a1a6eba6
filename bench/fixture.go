package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A fixtureSet makes one database per peer, when it is first asked for, and
// keeps it for the run.
//
// Invariants:
//
//	F1 A fixture is made by a process of its own and is on the device before a
//	   measurement begins, so that none pays for writing it back.
//	F2 Workloads that write get a copy, so every round finds the same database.
type fixtureSet struct {
	plan *plan
	dir  string
	made map[string]error // by peer; the error that making it ended with
}

// get returns the folder of the peer's database.
func (f *fixtureSet) get(ctx context.Context, p peer) (string, error) {
	p, err := p.fixture()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(f.dir, p.name)
	err, done := f.made[p.name]
	if !done {
		err = f.make(ctx, p, dir)
		f.made[p.name] = err
	}
	if err != nil {
		return "", fmt.Errorf("prepare database: %w", err)
	}
	return dir, nil
}

// make builds the peer's database in dir.
func (f *fixtureSet) make(ctx context.Context, p peer, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fmt.Fprintf(f.plan.progress, "%-14s %-16s\n", "prepare", p.name)
	t := f.plan.task(fixtureTask, p, dir)
	if _, err := f.plan.child(ctx, t); err != nil {
		return err
	}
	return eachFile(dir, func(path string) error {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}

// eachFile calls fn for each regular file below dir.
func eachFile(dir string, fn func(path string) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return fn(path)
	})
}

// copyFolder copies all files of src into the new folder dst and makes them
// durable.
func copyFolder(dst, src string) error {
	if err := os.Mkdir(dst, 0o700); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	err := eachFile(src, func(path string) error {
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		target := filepath.Join(dst, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return copyFile(target, path)
	})
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	return nil
}

// copyFile copies one file and makes it durable.
func copyFile(dst, src string) (err error) {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Sync()
}

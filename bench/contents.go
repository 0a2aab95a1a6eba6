package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/mapleafdb/mapleaf/mmapfile"
)

// This file makes keys of real paths: those of a Contents index of Debian, which says
// in each line which packages a file belongs to.
//
//	usr/share/doc/libacl1/copyright                    libs/libacl1
//
// `apt-file update` brings the indexes of a system, and `/usr/lib/apt/apt-helper
// cat-file` writes one plain.
//
// A run reads the index once and leaves its paths, in order and each once, in a list
// that its children map: what is neither in their heap nor read by them before they need
// it does not change what they measure. The list has the number of paths as 8 bytes,
// little-endian, then where each ends, 8 bytes likewise, then the paths one behind the
// other.

// pathSizeMax is the length of the longest path that is taken: some peers, and the check
// of scans, have no room for longer keys. What tells repeated paths apart comes on top.
const pathSizeMax = lastKeyMax - 16

// errContents reports that a file is no Contents index.
var errContents = errors.New("not a Contents index, plain or packed with gzip")

// readContents returns the paths of an index, sorted, each once.
func readContents(in io.Reader) ([][]byte, error) {
	plain := bufio.NewReader(in)
	if magic, err := plain.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(plain)
		if err != nil {
			return nil, fmt.Errorf("read Contents index: %w", err)
		}
		plain = bufio.NewReader(unpacked)
	}
	var paths [][]byte
	others := 0 // lines that are none of an index
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		path, packages := contentsLine(lines.Bytes())
		switch {
		case string(path) == "FILE" && string(packages) == "LOCATION":
			paths, others = paths[:0], 0 // what came before was an introduction
		case len(path) == 0 || bytes.IndexByte(packages, '/') < 0:
			others++
		case len(path) <= pathSizeMax && !bytes.ContainsRune(path, '\t'):
			paths = append(paths, bytes.Clone(path))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read Contents index: %w", err)
	}
	if len(paths) == 0 || others > len(paths) {
		return nil, fmt.Errorf("%w: %d lines are of one, %d are not", errContents, len(paths), others)
	}
	slices.SortFunc(paths, bytes.Compare)
	return slices.CompactFunc(paths, bytes.Equal), nil
}

// contentsLine returns the path of a line, which may have spaces in it, and the packages
// that have the file, each behind its section, which are the last word.
func contentsLine(line []byte) (path, packages []byte) {
	line = bytes.TrimRight(line, " \t\r")
	i := bytes.LastIndexAny(line, " \t")
	return bytes.TrimRight(line[:max(i, 0)], " \t"), line[i+1:]
}

// writePaths writes a list of paths, and returns a name for what is in it.
func writePaths(name string, paths [][]byte) (sum string, err error) {
	list := binary.LittleEndian.AppendUint64(nil, uint64(len(paths)))
	end := uint64(0)
	for _, path := range paths {
		end += uint64(len(path))
		list = binary.LittleEndian.AppendUint64(list, end)
	}
	for _, path := range paths {
		list = append(list, path...)
	}
	if err := os.WriteFile(name, list, 0o600); err != nil {
		return "", fmt.Errorf("write list of paths: %w", err)
	}
	hash := sha256.Sum256(list)
	return hex.EncodeToString(hash[:8]), nil
}

// copyContents makes a list at name of the index at path.
func copyContents(name, path string) (sum string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read Contents index: %w", err)
	}
	defer file.Close()
	paths, err := readContents(file)
	if err != nil {
		return "", err
	}
	return writePaths(name, paths)
}

// A pathList is a list that is mapped.
type pathList struct {
	ends, data []byte
	count      uint64
	stride     uint64 // has no divisor in common with count
	close      func() error
}

// openPaths maps the list at name.
func openPaths(name string) (_ *pathList, err error) {
	file, err := mmapfile.Open(name, mmapfile.Options{Access: mmapfile.Read})
	if err != nil {
		return nil, fmt.Errorf("map list of paths: %w", err)
	}
	closers := []io.Closer{file}
	closeAll := func() (err error) {
		for _, c := range slices.Backward(closers) {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("map list of paths: %w", err), closeAll())
		}
	}()
	mapping, err := file.Map(mmapfile.MapOptions{Protection: mmapfile.ProtRead})
	if err != nil {
		return nil, err
	}
	closers = append(closers, mapping)
	view, err := mapping.View(mmapfile.Read, 0, 0)
	if err != nil {
		return nil, err
	}
	closers = append(closers, view)
	list := view.Bytes()
	count := binary.LittleEndian.Uint64(list)
	return &pathList{
		ends: list[8 : 8+8*count], data: list[8+8*count:], count: count,
		stride: strideOf(count), close: closeAll,
	}, nil
}

// strideOf returns about 0.618 times count with no divisor in common with it: its
// multiples fill the numbers below count evenly, and come to each once.
func strideOf(count uint64) uint64 {
	stride := max(1, count*618/1000)
	for divisor(stride, count) != 1 {
		stride++
	}
	return stride
}

// divisor returns the greatest common divisor.
func divisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// at returns path j.
func (l *pathList) at(j uint64) []byte {
	start := uint64(0)
	if j > 0 {
		start = binary.LittleEndian.Uint64(l.ends[8*(j-1):])
	}
	return l.data[start:binary.LittleEndian.Uint64(l.ends[8*j:])]
}

// append appends path number i to dst: any number of them is spread over the whole
// index. When there are no more, they begin anew, with a tab and a number behind, which
// no path of the index has (D1).
func (l *pathList) append(dst []byte, i, seed uint64) []byte {
	lap, i := i/l.count, i%l.count
	dst = append(dst, l.at((i*l.stride+seed%l.count)%l.count)...)
	if lap > 0 {
		dst = append(dst, '\t')
		dst = strconv.AppendUint(dst, lap, 10)
	}
	return dst
}

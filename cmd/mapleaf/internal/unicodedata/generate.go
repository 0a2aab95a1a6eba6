//go:build ignore

// This program makes names.gz out of UnicodeData.txt: of each character that
// has a name of its own the code point, the name and the general category. It
// leaves out the controls, which have no name, and the two ends of the ranges
// of ideographs, syllables and private characters, whose names are made by rule.
package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run generate.go UnicodeData.txt")
	}
	input, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	output, err := os.Create("names.gz")
	if err != nil {
		log.Fatal(err)
	}
	zip, err := gzip.NewWriterLevel(output, gzip.BestCompression)
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(input)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), ";")
		if !strings.HasPrefix(parts[1], "<") {
			fmt.Fprintf(zip, "%s;%s;%s\n", parts[0], parts[1], parts[2])
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		log.Fatal(err)
	}
	if err := output.Close(); err != nil {
		log.Fatal(err)
	}
}

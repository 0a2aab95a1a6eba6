package command

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestBucketPath(t *testing.T) {
	for text, want := range map[string]bucketPath{
		"a":             {[]byte("a")},
		"debian/a b":    {[]byte("debian"), []byte("a b")},
		`a\/b/c\\d`:     {[]byte("a/b"), []byte(`c\d`)},
		`\x00\xfF/\x41`: {{0, 255}, []byte("A")},
		`\t/\n`:         {[]byte("\t"), []byte("\n")},
		"ä/日本":          {[]byte("ä"), []byte("日本")},
	} {
		var got bucketPath
		if err := got.Set(text); err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s is %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestBucketPathErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":       "a bucket name is empty",
		"/a":     "a bucket name is empty",
		"a/":     "a bucket name is empty",
		"a//b":   "a bucket name is empty",
		`a\`:     "nothing follows the last backslash",
		`\q`:     `unknown escape "\q": there are \/ \\ \t \n and \x41`,
		`\x4`:    `unknown escape "\x4": there are \/ \\ \t \n and \x41`,
		`\xg0`:   `unknown escape "\xg0": there are \/ \\ \t \n and \x41`,
		`\x+1`:   `unknown escape "\x+1": there are \/ \\ \t \n and \x41`,
		`\x 1/b`: `unknown escape "\x 1": there are \/ \\ \t \n and \x41`,
	} {
		path := bucketPath{[]byte("before")}
		err := path.Set(text)
		if err == nil || err.Error() != want || path.String() != "before" {
			t.Errorf("%s: got %q, %v, want %s", text, path, err, want)
		}
	}
}

// Every path is written so that it reads back as itself.
func TestBucketPathRoundTrip(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		path := make(bucketPath, 1+random.IntN(4))
		for i := range path {
			path[i] = make([]byte, 1+random.IntN(6))
			for j := range path[i] {
				path[i][j] = "/\\x0\n\t\x00\xff\xe4ab"[random.IntN(11)]
			}
		}
		var back bucketPath
		if err := back.Set(path.String()); err != nil ||
			!slices.EqualFunc(path, back, bytes.Equal) {
			t.Fatalf("seed %d: %q is written %s and read back as %q, %v",
				seed, path, path.String(), back, err)
		}
	}
}

func TestAppendText(t *testing.T) {
	for _, c := range []struct {
		in                string
		name, line, lines string
	}{
		{"plain ä 🍁", "plain ä 🍁", "plain ä 🍁", "plain ä 🍁"},
		{"a\tb\nc\\d\r", `a\tb\nc\\d\x0d`, `a\tb\nc\d\x0d`, "a\tb\nc\\d\\x0d"},
		{"\x1b[31m\u202e\xff", `\x1b[31m\xe2\x80\xae\xff`, `\x1b[31m\xe2\x80\xae\xff`,
			`\x1b[31m\xe2\x80\xae\xff`},
		{"\uFFFD", "\uFFFD", "\uFFFD", "\uFFFD"},
	} {
		for style, want := range []string{c.name, c.line, c.lines} {
			if got := string(appendText(nil, []byte(c.in), textStyle(style))); got != want {
				t.Errorf("%q in style %d is %s, want %s", c.in, style, got, want)
			}
		}
	}
}

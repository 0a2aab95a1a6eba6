package command

import "testing"

func TestDel(t *testing.T) {
	session(t, scrubSizes,
		step{line: "import f.db - --format tsv --no-header --value 2 --bucket a/b",
			stdin: "k1\t1\nk2\t2\nk3\t3\nl1\t4\nl2\t5\nm\t6\n"},
		step{line: "put f.db x y --bucket a/b/n/o"},
		step{line: "scan f.db --bucket a/b"},
		step{line: "del f.db k1 nosuch --bucket a/b"},
		step{line: "del f.db k1 nosuch --bucket a/b --force"},
		step{line: "del f.db 6b32 --hex --bucket a/b"},
		step{line: "del f.db n --bucket a/b"},
		step{line: "scan f.db --bucket a/b"},
		step{line: "del f.db --prefix l --bucket a/b"},
		step{line: "del f.db --from m --to n --bucket a/b"},
		step{line: "del f.db --from x --to b --bucket a/b"},
		step{line: "scan f.db --bucket a/b"},
		step{line: "del f.db --from n --bucket a/b"},
		step{line: "del f.db --whole-bucket --bucket a/c"},
		step{line: "del f.db --whole-bucket --bucket a/b"},
		step{line: "buckets f.db"},
		step{line: "del f.db --whole-bucket --bucket a"},
		step{line: "buckets f.db"},
		step{line: "check f.db"},
	)
}

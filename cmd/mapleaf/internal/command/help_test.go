package command

import "testing"

func TestHelp(t *testing.T) {
	session(t, nil,
		step{line: ""}, step{line: "help"}, step{line: "help demo"}, step{line: "help import"},
		step{line: "help get"}, step{line: "help put"}, step{line: "help del"},
		step{line: "help scan"}, step{line: "help buckets"}, step{line: "help stats"},
		step{line: "help readers"}, step{line: "help check"}, step{line: "help version"},
		step{line: "help help"},
		step{line: "help completion bash extra"},
	)
}

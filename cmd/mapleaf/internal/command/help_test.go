package command

import "testing"

func TestHelp(t *testing.T) {
	session(t, nil,
		step{line: ""}, step{line: "help"}, step{line: "help demo"}, step{line: "help import"},
		step{line: "help get"}, step{line: "help put"}, step{line: "help del"},
		step{line: "help scan"}, step{line: "help buckets"}, step{line: "help stats"},
		step{line: "help readers"}, step{line: "help check"}, step{line: "help recover"},
		step{line: "help surgery"}, step{line: "help surgery meta"},
		step{line: "help surgery revert-meta"}, step{line: "help surgery drop-log"},
		step{line: "help version"},
		step{line: "help help"},
		step{line: "help completion bash extra"},
	)
}

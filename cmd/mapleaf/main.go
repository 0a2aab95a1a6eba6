// Command mapleaf looks into Mapleaf files, fills them and shows what the
// store can do. Run "mapleaf help" for its commands.
package main

import (
	"os"

	"github.com/mapleafdb/mapleaf/cmd/mapleaf/internal/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:], command.Standard()))
}

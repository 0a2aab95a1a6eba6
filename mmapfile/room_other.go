//go:build aix || !(unix || windows)

package mmapfile

import "os"

func freeRoom(*os.File) (room uint64, known bool) { return 0, false }

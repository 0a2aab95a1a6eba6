package mmapfile

import (
	"os"

	"golang.org/x/sys/windows"
)

// remoteInfoSize is the size of FILE_REMOTE_PROTOCOL_INFO.
const remoteInfoSize = 116

func networkName(f *os.File) (string, error) {
	var info [remoteInfoSize]byte
	err := windows.GetFileInformationByHandleEx(windows.Handle(f.Fd()),
		windows.FileRemoteProtocolInfo, &info[0], uint32(len(info)))
	if err != nil {
		return "", nil // a local file has no such information
	}
	return "remote", nil
}

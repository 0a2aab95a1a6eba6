package mapleaf

import (
	"fmt"
	"io"
	"log"
	"os"
)

// Logger receives what the database has to say about failures that no call can
// return, such as a mapping that could not be given back. Everything else is
// returned as an error, once.
type Logger interface {
	Debug(v ...interface{})
	Debugf(format string, v ...interface{})

	Error(v ...interface{})
	Errorf(format string, v ...interface{})

	Info(v ...interface{})
	Infof(format string, v ...interface{})

	Warning(v ...interface{})
	Warningf(format string, v ...interface{})

	Fatal(v ...interface{})
	Fatalf(format string, v ...interface{})

	Panic(v ...interface{})
	Panicf(format string, v ...interface{})
}

// discard is the Logger of a database that was given none.
var discard = &DefaultLogger{Logger: log.New(io.Discard, "", 0)}

// logDepth is the distance from log.Output to the caller of a method below.
const logDepth = 2

// DefaultLogger is a Logger on top of the standard library's.
type DefaultLogger struct {
	*log.Logger
	debug bool
}

// EnableTimestamps puts date and time in front of each line.
func (l *DefaultLogger) EnableTimestamps() {
	l.SetFlags(l.Flags() | log.Ldate | log.Ltime)
}

// EnableDebug lets Debug and Debugf through.
func (l *DefaultLogger) EnableDebug() { l.debug = true }

// print writes one line. A log that cannot be written has nowhere to say so.
func (l *DefaultLogger) print(level, text string) {
	_ = l.Output(logDepth+1, level+": "+text)
}

// Debug logs its arguments as fmt.Sprint joins them, if EnableDebug was called.
func (l *DefaultLogger) Debug(v ...interface{}) {
	if l.debug {
		l.print("DEBUG", fmt.Sprint(v...))
	}
}

// Debugf is Debug with a format.
func (l *DefaultLogger) Debugf(format string, v ...interface{}) {
	if l.debug {
		l.print("DEBUG", fmt.Sprintf(format, v...))
	}
}

// Info logs its arguments as fmt.Sprint joins them.
func (l *DefaultLogger) Info(v ...interface{}) { l.print("INFO", fmt.Sprint(v...)) }

// Infof is Info with a format.
func (l *DefaultLogger) Infof(format string, v ...interface{}) {
	l.print("INFO", fmt.Sprintf(format, v...))
}

// Error logs its arguments as fmt.Sprint joins them.
func (l *DefaultLogger) Error(v ...interface{}) { l.print("ERROR", fmt.Sprint(v...)) }

// Errorf is Error with a format.
func (l *DefaultLogger) Errorf(format string, v ...interface{}) {
	l.print("ERROR", fmt.Sprintf(format, v...))
}

// Warning logs its arguments as fmt.Sprint joins them.
func (l *DefaultLogger) Warning(v ...interface{}) { l.print("WARN", fmt.Sprint(v...)) }

// Warningf is Warning with a format.
func (l *DefaultLogger) Warningf(format string, v ...interface{}) {
	l.print("WARN", fmt.Sprintf(format, v...))
}

// Fatal logs its arguments and ends the process with exit code 1.
func (l *DefaultLogger) Fatal(v ...interface{}) {
	l.print("FATAL", fmt.Sprint(v...))
	os.Exit(1)
}

// Fatalf is Fatal with a format.
func (l *DefaultLogger) Fatalf(format string, v ...interface{}) {
	l.print("FATAL", fmt.Sprintf(format, v...))
	os.Exit(1)
}

// Panic logs its arguments and panics with them.
func (l *DefaultLogger) Panic(v ...interface{}) { l.Logger.Panic(v...) }

// Panicf is Panic with a format.
func (l *DefaultLogger) Panicf(format string, v ...interface{}) {
	l.Logger.Panicf(format, v...)
}

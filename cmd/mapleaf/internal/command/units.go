package command

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// printf writes a result. Its error is kept by the buffer and reported at the
// end of the run.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// commas writes n with a comma between each three digits.
func commas(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var out []byte
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, digits[i])
	}
	return string(out)
}

// plural writes a number and its noun: "1 record", "1,000 records".
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return commas(n) + " " + noun + "s"
}

// bytesText writes a size in the unit that suits it, with one decimal.
func bytesText(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1024 {
		return plural(uint64(n), "byte")
	}
	size := float64(n)
	unit := ""
	for _, unit = range units {
		size /= 1024
		if size < 1023.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

// timeText writes a duration with three significant digits.
func timeText(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d < time.Millisecond:
		return significant(float64(d)/1e3) + " µs"
	case d < time.Second:
		return significant(float64(d)/1e6) + " ms"
	}
	return significant(d.Seconds()) + " s"
}

// perSecond returns the rate of count things in the time d, rounded to three
// significant digits; a time too short to be measured counts as a nanosecond.
func perSecond(count float64, d time.Duration) string {
	rate := count / max(d, time.Nanosecond).Seconds()
	if rate < 100 {
		return significant(rate)
	}
	step := math.Pow(10, math.Floor(math.Log10(rate))-2)
	return commas(uint64(math.Round(rate/step) * step))
}

// mebibytes returns a size in MiB.
func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func significant(x float64) string {
	switch {
	case x < 9.995:
		return fmt.Sprintf("%.2f", x)
	case x < 99.95:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

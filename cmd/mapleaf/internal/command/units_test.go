package command

import (
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for got, want := range map[string]string{
		commas(0): "0", commas(999): "999", commas(1000): "1,000", commas(1234567): "1,234,567",
		plural(0, "key"): "0 keys", plural(1, "key"): "1 key", plural(2000, "key"): "2,000 keys",

		bytesText(1): "1 byte", bytesText(1023): "1,023 bytes", bytesText(1024): "1.0 KiB",
		bytesText(1<<20 - 1): "1.0 MiB", bytesText(5 << 29): "2.5 GiB",
		bytesText(3 << 40): "3.0 TiB", bytesText(1 << 55): "32768.0 TiB",

		timeText(999): "999 ns", timeText(1500): "1.50 µs",
		timeText(12340 * time.Microsecond):  "12.3 ms",
		timeText(999400 * time.Microsecond): "999 ms", timeText(90 * time.Second): "90.0 s",

		perSecond(0, time.Second): "0.00", perSecond(12.34, time.Second): "12.3",
		perSecond(123456, time.Second): "123,000", perSecond(1, 0): "1,000,000,000",
		perSecond(99.99, time.Second): "100", perSecond(999_999, time.Second): "1,000,000",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

//go:build !purego

#include "textflag.h"

// func prefetch(p *byte, off, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD off+8(FP), R1
	ADD  R1, R0
	MOVD n+16(FP), R1
line:
	PRFM (R0), PLDL1KEEP
	ADD  $64, R0
	SUBS $64, R1
	BGT  line
	RET

//go:build !purego

#include "textflag.h"

// func prefetch(p *byte, off, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	ADDQ off+8(FP), AX
	MOVQ n+16(FP), CX
line:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	SUBQ $64, CX
	JGT  line
	RET

package mapleaf

import (
	"slices"
	"testing"

	"github.com/mapleafdb/mapleaf/tx"
)

// An epoch may have freed the very pages that its links take. Then there is less to say
// about them than there was before they were taken, and fewer links would do.
func TestLinksTakeFreedPages(t *testing.T) {
	const hwm, capacity = 4000, 8
	for freed := range 60 {
		for links := 1; links < 10; links++ {
			s := &store{meta: &meta{}, pageSize: DefaultPageSize, shift: 12}
			s.free.reset(hwm)
			s.chain = chain{ledger: newLedger(), capacity: capacity, hwm: hwm}
			e := &epoch{links: links}
			e.state.TxID = 9
			for i := range freed {
				x := extent{tx.PageID(100 + 2*i), 1}
				e.changes = append(e.changes, change{x, +1, 3, 9})
				if i < links {
					e.reserve = append(e.reserve, x)
				}
			}
			if freed < links {
				e.reserve = append(e.reserve, extent{3000, uint32(links - freed)})
				s.chain.apply(chainEntry{e.reserve[freed], freeForAll, freeForAll}, 0)
			}
			plan, err := s.planLinks(e, -1, nil)
			if err != nil {
				if freed <= capacity*links {
					t.Fatalf("%d freed, %d links: %v", freed, links, err)
				}
				continue
			}
			pages := s.writeLinks(e, plan)
			var got []chainEntry
			for _, p := range pages {
				_, entries, err := decodeChain(p.ID, p.Body(), s.first, 9)
				if err != nil {
					t.Fatalf("%d freed, %d links: %v", freed, links, err)
				}
				got = append(got, entries...)
			}
			if !slices.Equal(got, plan.entries) {
				t.Fatalf("%d freed, %d links: %v, want %v", freed, links, got, plan.entries)
			}
		}
	}
}

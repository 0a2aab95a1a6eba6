package tx

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// A copy of an overlay is a snapshot: what is built on it never changes it.
func TestOverlay(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		type version struct {
			o     Overlay
			model map[PageID]*Page
		}
		versions := []version{{model: map[PageID]*Page{}}}
		if !versions[0].o.Empty() || versions[0].o.Get(5) != nil {
			t.Fatal("the zero overlay is not empty")
		}
		for owner := uint64(1); owner < 30; owner++ {
			v := versions[r.IntN(len(versions))] // also branches off older ones
			v.model = maps.Clone(v.model)
			for range r.IntN(200) {
				id := PageID(r.Uint32() >> r.IntN(32))
				if r.IntN(4) == 0 {
					v.o.Delete(id, owner)
					delete(v.model, id)
					continue
				}
				p := &Page{ID: id}
				v.o.Set(p, owner)
				v.model[id] = p
			}
			versions = append(versions, v)
		}
		for i, v := range versions {
			for id, p := range v.model {
				if got := v.o.Get(id); got != p {
					t.Fatalf("seed %d: version %d: page %d is %p, want %p", seed, i, id, got, p)
				}
			}
			for range 200 {
				id := PageID(r.Uint32() >> r.IntN(32))
				if got := v.o.Get(id); got != v.model[id] {
					t.Fatalf("seed %d: version %d: page %d is %p, want %p",
						seed, i, id, got, v.model[id])
				}
			}
		}
	}
}

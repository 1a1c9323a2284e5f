// Pairs the half edges that share their lower vertex: of each edge the first two, in face order, that differ in face.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "meto/face.hpp"

#if defined(__SSE2__) && defined(__GNUC__)
#define METO_SSE2 1
#include <emmintrin.h>
#endif

namespace meto {

// A half edge in the bucket of its lower vertex: the edge's higher vertex above, the half edge below.
using EdgeEntry = std::uint64_t;

inline EdgeEntry edge_entry(std::uint32_t higher, HalfEdge h) { return (EdgeEntry(higher) << 32) | h; }
inline std::uint32_t higher_of(EdgeEntry e) { return static_cast<std::uint32_t>(e >> 32); }
inline HalfEdge half_edge_of(EdgeEntry e) { return static_cast<HalfEdge>(e); }

inline void set_twin(Face *faces, HalfEdge h, HalfEdge twin) { faces[face_of(h)].twin[corner_of(h)] = twin; }

inline void sort_entries(EdgeEntry *first, std::size_t count) {
    if (count > 24) {
        std::sort(first, first + count);
        return;
    }
    for (std::size_t i = 1; i < count; ++i) {
        const EdgeEntry e = first[i];
        std::size_t j = i;
        for (; j > 0 && first[j - 1] > e; --j) first[j] = first[j - 1];
        first[j] = e;
    }
}

// Any bucket: sorting makes runs of equal edges, each in face order. Third and later half edges stay without a twin.
inline void pair_any(Face *faces, EdgeEntry *first, std::size_t count) {
    sort_entries(first, count);
    for (EdgeEntry *const last = first + count; first != last;) {
        EdgeEntry *end = first;
        while (end != last && higher_of(*end) == higher_of(*first)) ++end;
        const EdgeEntry *other = first;
        while (other != end && face_of(half_edge_of(*other)) == face_of(half_edge_of(*first))) ++other;
        if (other != end) {
            set_twin(faces, half_edge_of(*first), half_edge_of(*other));
            set_twin(faces, half_edge_of(*other), half_edge_of(*first));
        }
        first = end;
    }
}

// How many entries beyond a bucket may be read (not used).
constexpr std::size_t bucket_slack = 16;

#ifdef METO_SSE2

// The bits of those of the 16 entries whose higher vertex is `vertex`.
class HigherVertices {
  public:
    explicit HigherVertices(const EdgeEntry *first) {
        for (int i = 0; i < 4; ++i) {
            const __m128 low = _mm_loadu_ps(reinterpret_cast<const float *>(first + 4 * i));
            const __m128 high = _mm_loadu_ps(reinterpret_cast<const float *>(first + 4 * i + 2));
            four_[i] = _mm_castps_si128(_mm_shuffle_ps(low, high, 0xdd));
        }
    }
    unsigned equal_to(std::uint32_t vertex) const {
        const __m128i v = _mm_set1_epi32(static_cast<int>(vertex));
        const __m128i low = _mm_packs_epi32(_mm_cmpeq_epi32(four_[0], v), _mm_cmpeq_epi32(four_[1], v));
        const __m128i high = _mm_packs_epi32(_mm_cmpeq_epi32(four_[2], v), _mm_cmpeq_epi32(four_[3], v));
        return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
    }

  private:
    __m128i four_[4];
};

// A bucket of up to 16 without branches that depend on the mesh. False, and no twin set, where an edge has more than
// two half edges or two of one face.
inline bool pair_manifold(Face *faces, const EdgeEntry *first, unsigned count) {
    const HigherVertices higher(first);
    const unsigned valid = (1u << count) - 1;
    HalfEdge twin[16];
    unsigned odd = 0;
    for (unsigned i = 0; i < count; ++i) {
        const unsigned others = (higher.equal_to(higher_of(first[i])) & valid) ^ (1u << i);
        const unsigned other = static_cast<unsigned>(__builtin_ctz(others | (1u << i)));
        twin[i] = others ? half_edge_of(first[other]) : no_edge;
        odd |= (others & (others - 1)) | unsigned(face_of(twin[i]) == face_of(half_edge_of(first[i])));
    }
    if (odd) return false;
    for (unsigned i = 0; i < count; ++i) set_twin(faces, half_edge_of(first[i]), twin[i]);
    return true;
}

inline void pair_bucket(Face *faces, EdgeEntry *first, std::size_t count) {
    if (count > 16 || !pair_manifold(faces, first, static_cast<unsigned>(count))) pair_any(faces, first, count);
}

#else

inline void pair_bucket(Face *faces, EdgeEntry *first, std::size_t count) { pair_any(faces, first, count); }

#endif

}  // namespace meto

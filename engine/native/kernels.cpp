// The engine's CPU kernels: SPADE modulation, and convolutions of 3×3 and 1×1.
//
// Activations are (B, h, w, C), float32 or bfloat16. A convolution has three steps for a group of some tiles:
//
//   gather    Each tile's input patch, transformed, into V: one matrix (tiles × fin) per position in the patch.
//   multiply  M = V·U per position, in float32: matrix products with the packed weights U (fin × fout).
//   scatter   The inverse transform of M, plus bias, plus `add`, rounded once, into the output.
//
// A 3×3 convolution uses Winograd's minimal filtering, F(2×2, 3×3) or F(4×4, 3×3): 2.25 or 4 times fewer
// products than the sum itself (Lavin & Gray 2016, Fast Algorithms for Convolutional Neural Networks, section 4).
// A 1×1 convolution is the same with tiles of one pixel and no transform. Table rows are convolutions at windows that
// are put together from few distinct inputs: each input meets the weights once, and rows are sums of the products.
//
// Every output is one sum in one order, whatever group, thread or batch it falls in: equal input, equal bits.
// Plain GCC/Clang vector extensions, as wide as the processor; only the bfloat16 products need AVX512-BF16.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <utility>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

// ------------------------------------------------------------------------------------------------ vectors

// LANES floats in a vector; a block of outputs is WIDE vectors; as many accumulators as leave registers for
// factors; at most MOST_ROWS, so that few kernels need compiling.
constexpr int MOST_ROWS = 8;
#if defined(__AVX512F__)
constexpr int LANES = 16, WIDE = 4, ACCUMULATORS = 24;
#elif defined(__AVX__)
constexpr int LANES = 8, WIDE = 2, ACCUMULATORS = 12;
#elif defined(__aarch64__)
constexpr int LANES = 4, WIDE = 4, ACCUMULATORS = 24;
#else
constexpr int LANES = 4, WIDE = 2, ACCUMULATORS = 12;
#endif
constexpr int BLOCK = WIDE * LANES;

using Float = float __attribute__((vector_size(4 * LANES)));
using Bits = uint32_t __attribute__((vector_size(4 * LANES)));
using HalfBits = uint16_t __attribute__((vector_size(2 * LANES)));

// Whatever such a function calls becomes part of it.
#define FLAT __attribute__((flatten))
// One copy for all callers: two may fuse multiplications and additions differently, and so round differently.
#define ONE_COPY __attribute__((noinline))

// body(0), … body(N − 1), written out: in a FLAT function, arrays that are indexed so stay in registers.
template <int N, class Body>
inline void each(const Body &body) {
    [&]<int... I>(std::integer_sequence<int, I...>) {
        (body(I), ...);
    }
    (std::make_integer_sequence<int, N>{});
}

// body(c, n) for every vector of a pixel's channels c … c + n − 1; all but the last one are known to be whole.
template <class Body>
inline void each_vector(int channels, const Body &body) {
    int c = 0;
    for (; c + LANES <= channels; c += LANES) body(c, LANES);
    if (c < channels) body(c, channels - c);
}

// A vector at any address.
template <class Vector>
struct __attribute__((packed, may_alias)) Anywhere {
    Vector value;
};

template <class Vector, class Scalar>
ONE_COPY Vector read_some(const Scalar *from, int n) {
    Vector vector{};
    for (int i = 0; i < n; i++) vector[i] = from[i];
    return vector;
}

template <class Vector, class Scalar>
ONE_COPY void write_some(Scalar *to, Vector vector, int n) {
    for (int i = 0; i < n; i++) to[i] = vector[i];
}

// One vector, or its first n lanes and zeros.
template <class Vector, class Scalar>
inline Vector read(const Scalar *from, int n) {
    return n >= LANES ? reinterpret_cast<const Anywhere<Vector> *>(from)->value : read_some<Vector>(from, n);
}

template <class Vector, class Scalar>
inline void write(Scalar *to, Vector vector, int n) {
    if (n < LANES) return write_some(to, vector, n);
    reinterpret_cast<Anywhere<Vector> *>(to)->value = vector;
}

struct bfloat16 {
    uint16_t bits;
};

inline Float load(const float *from, int n = LANES) { return read<Float>(from, n); }
inline void store(float *to, Float value, int n = LANES) { write(to, value, n); }

inline Float load(const bfloat16 *from, int n = LANES) {
    const auto half = read<HalfBits>(&from->bits, n);
#ifdef __AVX512F__
    const auto bits = (Bits)_mm512_cvtepu16_epi32((__m256i)half);  // GCC 12 makes four steps of the line below
#else
    const auto bits = __builtin_convertvector(half, Bits);
#endif
    return (Float)(bits << 16);
}

// To nearest, ties to even; NaN stays NaN.
inline void store(bfloat16 *to, Float value, int n = LANES) {
#ifdef __AVX512BF16__
    const auto half = (HalfBits)_mm512_cvtneps_pbh((__m512)value);
#else
    const auto bits = (Bits)value;
    const Bits rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    const auto half = __builtin_convertvector(value == value ? rounded : (bits >> 16) | 0x40, HalfBits);
#endif
    write(&to->bits, half, n);
}

inline Float leaky(Float value, float slope) { return value > 0 ? value : value * slope; }

// ------------------------------------------------------------------------------------------------ threads

// torch's OpenMP runtime, by its entry point: a second runtime would spin against torch's threads.
using Parallel = void (*)(void (*)(void *), void *, unsigned threads, unsigned flags);
Parallel omp_parallel = nullptr;

// work(thread, i) for every i in 0 … count − 1, in any order; thread in 0 … threads − 1.
template <class Work>
void parallel_for(int threads, int count, const Work &work) {
    struct Shared {
        const Work &work;
        int count;
        std::atomic<int> started{0}, next{0};
    } shared{work, count};
    const auto body = [](void *argument) {
        auto &shared = *static_cast<Shared *>(argument);
        const int thread = shared.started++;
        for (int i = shared.next++; i < shared.count; i = shared.next++) shared.work(thread, i);
    };
    threads = std::max(1, std::min(threads, count));
    if (omp_parallel && threads > 1) {
        omp_parallel(body, &shared, threads, 0);
    } else {
        body(&shared);
    }
}

// ------------------------------------------------------------------------------------------------ products

// How the matrix products read a type: STEP consecutive inputs of one row at a time.
template <class Type>
struct Factor;

template <>
struct Factor<float> {
    static constexpr int STEP = 1;
    using Vector = Float;
    static Vector load(const float *from) { return read<Vector>(from, LANES); }
    static Vector broadcast(const float *from) { return *from - Float{}; }
    static Float multiply_add(Vector a, Vector b, Float sum) { return a * b + sum; }
};

#ifdef __AVX512BF16__
template <>
struct Factor<bfloat16> {
    static constexpr int STEP = 2;
    using Vector = __m512i;
    static Vector load(const bfloat16 *from) { return _mm512_loadu_si512(from); }
    static Vector broadcast(const bfloat16 *from) {
        int32_t pair;
        std::memcpy(&pair, from, sizeof pair);
        return _mm512_set1_epi32(pair);
    }
    static Float multiply_add(Vector a, Vector b, Float sum) {
        return (Float)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
    }
};
#endif

template <class Type>
constexpr int padded_inputs(int fin) {
    return (fin + Factor<Type>::STEP - 1) / Factor<Type>::STEP * Factor<Type>::STEP;
}
constexpr int padded_outputs(int fout) { return (fout + LANES - 1) / LANES * LANES; }

// c (ROWS × N vectors) += or = a (ROWS × k) · b (k × N vectors), everything in registers.
template <class Type, int N, int ROWS>
FLAT ONE_COPY void multiply_rows(const Type *a, int64_t stride, const Type *b, int k, bool first, float *c) {
    using Factor = Factor<Type>;
    Float sum[ROWS][N];
    each<ROWS>([&](int r) {
        each<N>([&](int n) { sum[r][n] = first ? Float{} : load(c + (r * N + n) * LANES); });
    });
    for (int p = 0; p < k; p += Factor::STEP, b += N * LANES * Factor::STEP) {
        typename Factor::Vector column[N];
        each<N>([&](int n) { column[n] = Factor::load(b + n * LANES * Factor::STEP); });
        each<ROWS>([&](int r) {
            const auto row = Factor::broadcast(a + r * stride + p);
            each<N>([&](int n) { sum[r][n] = Factor::multiply_add(row, column[n], sum[r][n]); });
        });
    }
    each<ROWS>([&](int r) { each<N>([&](int n) { store(c + (r * N + n) * LANES, sum[r][n]); }); });
}

template <class Type, int N, int ROWS = std::min(ACCUMULATORS / N, MOST_ROWS)>
void multiply_few(int rows, const Type *a, int64_t stride, const Type *b, int k, bool first, float *c) {
    if (rows == ROWS) {
        multiply_rows<Type, N, ROWS>(a, stride, b, k, first, c);
    } else if constexpr (ROWS > 1) {
        multiply_few<Type, N, ROWS - 1>(rows, a, stride, b, k, first, c);
    }
}

// c (rows × N vectors) = a · b. Slices of b small enough for the first-level cache meet all rows in turn.
template <class Type, int N>
void multiply(int rows, const Type *a, int64_t stride, const Type *b, int k, float *c) {
    constexpr int SLICE = 16384 / (BLOCK * sizeof(Type)), MOST = std::min(ACCUMULATORS / N, MOST_ROWS);
    const int parts = (rows + MOST - 1) / MOST;
    for (int p = 0; p < k; p += SLICE) {
        for (int part = 0, row = 0; part < parts; part++) {
            const int some = (rows - row) / (parts - part);
            multiply_few<Type, N>(some, a + row * stride + p, stride, b + int64_t(p) * N * LANES,
                                  std::min(SLICE, k - p), p == 0, c + row * N * LANES);
            row += some;
        }
    }
}

// ------------------------------------------------------------------------------------------------ transforms

// A transform by its two one-dimensional ones, which nest: rows, then columns. FILTER is Lavin & Gray's G.
template <class Line>
struct Nested : Line {
    static constexpr int KERNEL = 3, IN = Line::OUT + KERNEL - 1;
    static void forward(Float d[IN][IN]) {
        each<IN>([&](int i) { Line::forward(d[i], 1); });
        each<IN>([&](int i) { Line::forward(d[0] + i, IN); });
    }
    static void inverse(Float m[IN][IN]) {
        each<IN>([&](int i) { Line::inverse(m[0] + i, IN); });
        each<Line::OUT>([&](int i) { Line::inverse(m[i], 1); });
    }
};

// F(2, 3): two outputs of a 3-tap filter from four inputs, by its values at 0, 1, −1 and ∞.
struct TwoByThree {
    static constexpr int OUT = 2;
    static constexpr double FILTER[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
    static void forward(Float *d, int s) {
        const Float a = d[0], b = d[s], c = d[2 * s], e = d[3 * s];
        d[0] = a - c, d[s] = b + c, d[2 * s] = c - b, d[3 * s] = b - e;
    }
    static void inverse(Float *m, int s) {
        const Float a = m[0], b = m[s], c = m[2 * s], e = m[3 * s];
        m[0] = a + b + c, m[s] = b - c - e;
    }
};

// F(4, 3): four outputs from six inputs, by the values at 0, ±A, ±B and ∞. The usual ±1 and ±2 round more than
// twice as much, for numbers of very different size meet in their sums.
struct FourByThree {
    static constexpr int OUT = 4;
    static constexpr float A = .75, B = 1.5, A2 = A * A, B2 = B * B;
    static constexpr double AT_0 = 1. / (A2 * B2), AT_A = .5 / (A2 * (A2 - B2)), AT_B = .5 / (B2 * (B2 - A2));
    static constexpr double FILTER[6][3] = {{AT_0, 0, 0},
                                            {AT_A, AT_A * A, AT_A * A2},
                                            {AT_A, -AT_A * A, AT_A * A2},
                                            {AT_B, AT_B * B, AT_B * B2},
                                            {AT_B, -AT_B * B, AT_B * B2},
                                            {0, 0, 1}};
    static void forward(Float *d, int s) {
        const Float first = d[4 * s] - (A2 + B2) * d[2 * s] + A2 * B2 * d[0];
        const Float last = d[5 * s] - (A2 + B2) * d[3 * s] + A2 * B2 * d[s];
        const Float even_a = d[4 * s] - B2 * d[2 * s], odd_a = d[3 * s] - B2 * d[s];
        const Float even_b = d[4 * s] - A2 * d[2 * s], odd_b = d[3 * s] - A2 * d[s];
        d[0] = first, d[s] = even_a + A * odd_a, d[2 * s] = even_a - A * odd_a;
        d[3 * s] = even_b + B * odd_b, d[4 * s] = even_b - B * odd_b, d[5 * s] = last;
    }
    static void inverse(Float *m, int s) {
        const Float even_a = m[s] + m[2 * s], odd_a = m[s] - m[2 * s];
        const Float even_b = m[3 * s] + m[4 * s], odd_b = m[3 * s] - m[4 * s];
        m[0] = m[0] + even_a + even_b;
        m[s] = A * odd_a + B * odd_b;
        m[2 * s] = A2 * even_a + B2 * even_b;
        m[3 * s] = A * A2 * odd_a + B * B2 * odd_b + m[5 * s];
    }
};

struct Pointwise {
    static constexpr int KERNEL = 1, IN = 1, OUT = 1;
    static constexpr double FILTER[IN][KERNEL] = {{1}};
    static void forward(Float[IN][IN]) {}
    static void inverse(Float[IN][IN]) {}
};

}  // namespace

// ------------------------------------------------------------------------------------------------ jobs

extern "C" {

struct Convolution {
    int32_t images, height, width, fin, fout, threads;
    int32_t tile;         // 3×3 by Winograd tiles of 2×2 or 4×4 outputs; 1×1 by tiles of 1
    int32_t half;         // x, add and the weights are bfloat16
    int32_t single_out;   // out and add are float32 even so
    int32_t add_doubled;  // add is (images, height / 2, width / 2, fout)
    float slope;          // x where it is negative is multiplied by this first
    const void *x, *weights, *add;
    void *out, *scratch;
};

struct Tabulation {
    int64_t rows, windows;  // of out, of the distinct inputs
    int32_t fin, fout, places, threads;
    int32_t half;          // inputs, weights and out are bfloat16
    const int32_t *index;  // (rows, places), rows of the inputs
    const void *inputs, *weights;
    void *out, *scratch;
};

struct Modulation {
    int64_t images, height, width, channels;  // of the output
    int32_t threads;
    int32_t half;     // x, table and out are bfloat16
    int32_t doubled;  // x is (images, height / 2, width / 2, channels)
    int32_t noises, noise_per_image, pre_per_image;
    float slope;
    const int32_t *index, *blend;  // per pixel: rows of table; rows of post, or null for the image's own
    const void *x, *table;
    const float *pre, *post, *noise, *strength;
    void *out;
};

}  // extern "C"

namespace {

// ------------------------------------------------------------------------------------------------ convolutions

constexpr int64_t STREAM_BUDGET = 10 << 20;   // bytes of V when all tiles meet each block of weights at once
constexpr int64_t CACHED_WEIGHTS = 10 << 20;  // bytes of weights that the last cache keeps from group to group

template <class Type, class Tile>
struct Convolver {
    static constexpr int POSITIONS = Tile::IN * Tile::IN;
    // Tiles that are multiplied together: what V and M of them take should stay in a core's own cache.
    static constexpr int GROUP = POSITIONS > 16 ? 72 / sizeof(Type) : 60;
    static constexpr int LINE = 64 / sizeof(Type);  // a cache line's, lest power-of-two strides share cache sets

    const Convolution &job;
    const int rows = (job.height + Tile::OUT - 1) / Tile::OUT;
    const int columns = (job.width + Tile::OUT - 1) / Tile::OUT;
    const int tiles = job.images * rows * columns;
    const int groups = (tiles + GROUP - 1) / GROUP;
    const int inputs = padded_inputs<Type>(job.fin), outputs = padded_outputs(job.fout);
    const int blocks = (outputs + BLOCK - 1) / BLOCK;
    const bool direct = POSITIONS == 1 && job.slope == 1 && inputs == job.fin;  // x itself serves as V
    const int64_t row_stride = direct ? inputs : (inputs + 2 * LINE - 1) / LINE * LINE;
    const int64_t v_position = std::min(tiles, GROUP) * row_stride + LINE, v_group = POSITIONS * v_position;
    const int64_t m_position = std::min(tiles, GROUP) * BLOCK + LANES, m_thread = POSITIONS * m_position;
    const bool stream = groups < 4 * job.threads || weight_bytes() > CACHED_WEIGHTS;
    const int strip =
        stream ? std::clamp<int64_t>(STREAM_BUDGET / (v_group * sizeof(Type)), 1, groups) : job.threads;

    int64_t weight_bytes() const { return int64_t(POSITIONS) * inputs * outputs * sizeof(Type); }
    int64_t scratch_bytes() const {
        return (strip * v_group + row_stride) * sizeof(Type) + job.threads * m_thread * sizeof(float);
    }

    Type *v(int slot) const { return static_cast<Type *>(job.scratch) + row_stride + slot * v_group; }
    const Type *v(int slot, int group) const {
        return direct ? static_cast<const Type *>(job.x) + int64_t(group) * GROUP * inputs : v(slot);
    }
    float *m(int thread) const { return reinterpret_cast<float *>(v(strip)) + thread * m_thread; }
    const Type *zeros() const { return static_cast<Type *>(job.scratch); }

    struct Place {
        int image, y, x;  // the tile's first output pixel
    };
    Place place(int tile) const {
        const int line = tile / columns;
        return {line / rows, line % rows * Tile::OUT, tile % columns * Tile::OUT};
    }
    void advance(Place &at) const {
        if ((at.x += Tile::OUT) < job.width) return;
        at.x = 0;
        if ((at.y += Tile::OUT) < job.height) return;
        at.y = 0, at.image++;
    }
    int64_t pixel(int image, int y, int x) const { return (int64_t(image) * job.height + y) * job.width + x; }
    int64_t half_pixel(int image, int y, int x) const {
        return (int64_t(image) * (job.height / 2) + y / 2) * (job.width / 2) + x / 2;
    }

    // Tiles first … first + count − 1 into v, whose first row is tile number `first`.
    template <bool LEAK>
    FLAT ONE_COPY void transform(int first, int count, Type *v) const {
        const int64_t step = v_position;  // a copy that no store can change
        const int64_t next = Tile::OUT * int64_t(job.fin);  // to the same pixel of the tile at the right
        const Type *x = static_cast<const Type *>(job.x);
        Place at = place(first);
        for (int tile = 0; tile < count; tile++, advance(at)) {
            const Type *patch[Tile::IN][Tile::IN];
            each<Tile::IN>([&](int i) {
                const int y = at.y + i - Tile::KERNEL / 2;
                const Type *line = y >= 0 && y < job.height ? x + pixel(at.image, y, 0) * job.fin : nullptr;
                each<Tile::IN>([&](int j) {
                    const int x = at.x + j - Tile::KERNEL / 2;
                    patch[i][j] = line && x >= 0 && x < job.width ? line + int64_t(x) * job.fin : zeros();
                });
            });
            Type *to = v + tile * row_stride;
            each_vector(job.fin, [&](int c, int n) {
                Float d[Tile::IN][Tile::IN];
                each<Tile::IN>([&](int i) {
                    each<Tile::IN>([&](int j) {
                        if (j >= Tile::IN - Tile::OUT) __builtin_prefetch(patch[i][j] + c + next);
                        d[i][j] = load(patch[i][j] + c, n);
                        if constexpr (LEAK) d[i][j] = leaky(d[i][j], job.slope);
                    });
                });
                Tile::forward(d);
                each<Tile::IN>([&](int i) {
                    each<Tile::IN>([&](int j) {
                        store(to + (i * Tile::IN + j) * step + c, d[i][j], n);
                    });
                });
            });
            for (int p = 0; p < POSITIONS && inputs > job.fin; p++) to[p * v_position + job.fin] = Type{};
        }
    }
    void gather(int first, int count, Type *v) const {
        job.slope == 1 ? transform<false>(first, count, v) : transform<true>(first, count, v);
    }

    const float *bias() const { return static_cast<const float *>(job.weights); }
    const Type *weights(int block) const {
        return reinterpret_cast<const Type *>(bias() + outputs) + int64_t(block) * BLOCK * inputs * POSITIONS;
    }
    int width(int block) const { return std::min(BLOCK, outputs - block * BLOCK); }

    template <int N = WIDE>
    void multiply_block(int count, const Type *v, int block, float *m) const {
        if (width(block) != N * LANES) {
            if constexpr (N > 1) multiply_block<N - 1>(count, v, block, m);
            return;
        }
        for (int position = 0; position < POSITIONS; position++)
            multiply<Type, N>(count, v + position * v_position, row_stride,
                              weights(block) + int64_t(position) * inputs * N * LANES, inputs,
                              m + position * m_position);
    }

    template <class Out>
    FLAT ONE_COPY void scatter(int first, int count, int block, const float *m) const {
        const int wide = width(block), base = block * BLOCK, most = std::min(wide, job.fout - base);
        Out *out = static_cast<Out *>(job.out);
        const Out *add = static_cast<const Out *>(job.add);
        const int64_t step = m_position;
        Place at = place(first);
        for (int tile = 0; tile < count; tile++, advance(at)) {
            Out *to[Tile::OUT][Tile::OUT];
            const Out *plus[Tile::OUT][Tile::OUT];
            each<Tile::OUT>([&](int i) {
                const int y = at.y + i;
                const int64_t line = pixel(at.image, y, 0) * job.fout + base;
                const int64_t plus_line =
                    job.add_doubled ? half_pixel(at.image, y, 0) * job.fout + base : line;
                each<Tile::OUT>([&](int j) {
                    const int x = at.x + j, plus_x = job.add_doubled ? x / 2 : x;
                    to[i][j] = y < job.height && x < job.width ? out + line + int64_t(x) * job.fout : nullptr;
                    plus[i][j] = add ? add + plus_line + int64_t(plus_x) * job.fout : nullptr;
                });
            });
            each_vector(most, [&](int c, int n) {
                Float d[Tile::IN][Tile::IN];
                each<Tile::IN>([&](int i) {
                    each<Tile::IN>([&](int j) {
                        d[i][j] = load(m + (i * Tile::IN + j) * step + tile * wide + c);
                    });
                });
                Tile::inverse(d);
                const Float offset = load(bias() + base + c);
                each<Tile::OUT>([&](int i) {
                    each<Tile::OUT>([&](int j) {
                        if (!to[i][j]) return;
                        Float value = d[i][j] + offset;
                        if (add) value += load(plus[i][j] + c, n);
                        store(to[i][j] + c, value, n);
                    });
                });
            });
        }
    }

    void finish(int group, const Type *v, int block, float *m) const {
        const int first = group * GROUP, count = std::min(GROUP, tiles - first);
        multiply_block(count, v, block, m);
        if (job.single_out) {
            scatter<float>(first, count, block, m);
        } else {
            scatter<Type>(first, count, block, m);
        }
    }

    // Many tiles, few weights: a thread takes a group through all three steps in its own cache.
    void by_group() const {
        parallel_for(job.threads, groups, [&](int thread, int group) {
            if (!direct) gather(group * GROUP, std::min(GROUP, tiles - group * GROUP), v(thread));
            for (int block = 0; block < blocks; block++) finish(group, v(thread, group), block, m(thread));
        });
    }

    // Few tiles, many weights: a strip of groups is gathered; then each block of weights, read once, meets all.
    void by_block() const {
        constexpr int SOME = 6;
        static_assert(GROUP % SOME == 0);
        for (int start = 0; start < groups; start += strip) {
            const int some = std::min(strip, groups - start);
            const int from = start * GROUP, until = std::min(tiles, (start + some) * GROUP);
            parallel_for(job.threads, direct ? 0 : (until - from + SOME - 1) / SOME, [&](int, int i) {
                const int first = i * SOME, group = first / GROUP;
                gather(from + first, std::min(SOME, until - from - first),
                       v(group) + (first - group * GROUP) * row_stride);
            });
            parallel_for(job.threads, blocks * some, [&](int thread, int i) {
                finish(start + i % some, v(i % some, start + i % some), i / some, m(thread));
            });
        }
    }

    void run() const {
        std::memset(job.scratch, 0, row_stride * sizeof(Type));
        stream ? by_block() : by_group();
    }
};

// Weights (fout, fin, k, k) to: bias, then per block of outputs, per position, (inputs / STEP, outputs, STEP).
template <class Type, class Tile>
void pack_weights(int threads, int fin, int fout, const float *weight, const float *bias, void *packed) {
    constexpr int STEP = Factor<Type>::STEP, K = Tile::KERNEL, IN = Tile::IN;
    const int inputs = padded_inputs<Type>(fin), outputs = padded_outputs(fout);
    float *offsets = static_cast<float *>(packed);
    for (int o = 0; o < outputs; o++) offsets[o] = bias && o < fout ? bias[o] : 0;
    parallel_for(threads, (outputs + BLOCK - 1) / BLOCK, [&](int, int block) {
        const int base = block * BLOCK;
        Type *to = reinterpret_cast<Type *>(offsets + outputs) + int64_t(IN) * IN * inputs * base;
        const int wide = std::min(BLOCK, outputs - base);
        for (int i = 0; i < inputs; i++)
            for (int o = 0; o < wide; o++) {
                const bool real = base + o < fout && i < fin;
                const float *filter = weight + (int64_t(base + o) * fin + i) * K * K;
                for (int p = 0; p < IN * IN; p++) {
                    double sum = 0;
                    for (int t = 0; real && t < K * K; t++)
                        sum += Tile::FILTER[p / IN][t / K] * Tile::FILTER[p % IN][t % K] * filter[t];
                    Type *at = to + (int64_t(p) * inputs + i / STEP * STEP) * wide + o * STEP + i % STEP;
                    store(at, Float{} + float(sum), 1);
                }
            }
    });
}

// ------------------------------------------------------------------------------------------------ tables

// out[i] = bias + Σ_j inputs[index[i, j]] · W_j: every input meets every W_j once, and rows are sums of those.
template <class Type>
struct Tabulator {
    const Tabulation &job;
    const int inputs = padded_inputs<Type>(job.fin), outputs = padded_outputs(job.fout);
    const int blocks = (outputs + BLOCK - 1) / BLOCK;
    const int64_t place_bytes = outputs * sizeof(float) + int64_t(inputs) * outputs * sizeof(Type);
    const int64_t m_thread = job.places * job.windows * BLOCK;

    int64_t scratch_bytes() const { return std::min(job.threads, blocks) * m_thread * sizeof(float); }

    const float *bias() const { return static_cast<const float *>(job.weights); }
    const Type *weights(int place, int block) const {
        const char *start = static_cast<const char *>(job.weights) + place * place_bytes;
        return reinterpret_cast<const Type *>(start + outputs * sizeof(float)) + int64_t(block) * BLOCK * inputs;
    }

    template <int N>
    FLAT ONE_COPY void add_up(int block, const float *m) const {
        constexpr int WIDTH = N * LANES;
        const int base = block * BLOCK, most = std::min(WIDTH, job.fout - base);
        Type *out = static_cast<Type *>(job.out) + base;
        for (int64_t row = 0; row < job.rows; row++) {
            Float sum[N];
            each<N>([&](int n) { sum[n] = load(bias() + base + n * LANES); });
            for (int64_t place = 0; place < job.places; place++) {
                const float *product = m + (place * job.windows + job.index[row * job.places + place]) * WIDTH;
                each<N>([&](int n) { sum[n] += load(product + n * LANES); });
            }
            each<N>([&](int n) {
                const int left = most - n * LANES;
                if (left > 0) store(out + row * job.fout + n * LANES, sum[n], std::min(left, LANES));
            });
        }
    }

    template <int N = WIDE>
    void tabulate_block(int block, float *m) const {
        if (std::min(BLOCK, outputs - block * BLOCK) != N * LANES) {
            if constexpr (N > 1) tabulate_block<N - 1>(block, m);
            return;
        }
        for (int place = 0; place < job.places; place++)
            multiply<Type, N>(job.windows, static_cast<const Type *>(job.inputs), inputs, weights(place, block),
                              inputs, m + place * job.windows * N * LANES);
        add_up<N>(block, m);
    }

    void run() const {
        parallel_for(job.threads, blocks, [&](int thread, int block) {
            tabulate_block(block, static_cast<float *>(job.scratch) + thread * m_thread);
        });
    }
};

// ------------------------------------------------------------------------------------------------ modulation

// v = x + noise·strength;  v = v·pre₀ + pre₁;  v = v·scale[p] + shift[p];  v = v·post[k]₀ + post[k]₁;  LeakyReLU
template <class Type, bool NOISE, bool POST>
FLAT ONE_COPY void modulate_pixels(const Modulation &job, const float *strength, int64_t first, int64_t last) {
    const int64_t C = job.channels, area = job.height * job.width;
    for (int64_t pixel = first; pixel < last; pixel++) {
        const int64_t image = pixel / area, y = pixel % area / job.width, x = pixel % job.width;
        const int64_t source =
            job.doubled ? (image * (job.height / 2) + y / 2) * (job.width / 2) + x / 2 : pixel;
        const Type *from = static_cast<const Type *>(job.x) + source * C;
        const Type *scale = static_cast<const Type *>(job.table) + 2 * C * job.index[pixel], *shift = scale + C;
        const float *pre = job.pre + (job.pre_per_image ? image * 2 * C : 0);
        const float *post = POST ? job.post + 2 * C * (job.blend ? job.blend[pixel] : image) : nullptr;
        const float *noise =
            NOISE ? job.noise + (job.noise_per_image ? pixel : pixel % area) * job.noises : nullptr;
        Type *to = static_cast<Type *>(job.out) + pixel * C;
        each_vector(C, [&](int c, int n) {
            Float v = load(from + c, n);
            if constexpr (NOISE)
                for (int j = 0; j < job.noises; j++) v += noise[j] * load(strength + j * C + c, n);
            v = v * load(pre + c, n) + load(pre + C + c, n);
            v = v * load(scale + c, n) + load(shift + c, n);
            if constexpr (POST) v = v * load(post + c, n) + load(post + C + c, n);
            store(to + c, leaky(v, job.slope), n);
        });
    }
}

template <class Type>
void modulate_all(const Modulation &job) {
    const int64_t C = job.channels, pixels = job.images * job.height * job.width;
    std::vector<float> strength(job.noise ? job.noises * C : 0);  // (noises, C), as the lanes want it
    for (size_t i = 0; i < strength.size(); i++) strength[i] = job.strength[i % C * job.noises + i / C];
    const auto noisy = job.post ? modulate_pixels<Type, true, true> : modulate_pixels<Type, true, false>;
    const auto quiet = job.post ? modulate_pixels<Type, false, true> : modulate_pixels<Type, false, false>;
    const auto work = job.noise ? noisy : quiet;
    const int64_t some = std::max<int64_t>(1, 65536 / C);
    parallel_for(job.threads, (pixels + some - 1) / some, [&](int, int64_t i) {
        work(job, strength.data(), i * some, std::min(pixels, (i + 1) * some));
    });
}

// Calls `run` with a value of the types that the job asks for.
template <class Run>
auto with_types(bool half, int tile, const Run &run) {
    const auto with_tile = [&](auto type) {
        return tile == 4   ? run(type, Nested<FourByThree>{})
               : tile == 2 ? run(type, Nested<TwoByThree>{})
                           : run(type, Pointwise{});
    };
#ifdef __AVX512BF16__
    if (half) return with_tile(bfloat16{});
#endif
    return with_tile(float{});
}

}  // namespace

// ------------------------------------------------------------------------------------------------ the door

extern "C" {

void scenebrush_use_openmp(void *parallel) { omp_parallel = reinterpret_cast<Parallel>(parallel); }

// Asks for large pages under memory that is still untouched: with small ones, products wait for the TLB.
void scenebrush_use_large_pages(void *memory, int64_t bytes) {
    const uintptr_t page = 4096, start = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
    if (end > start) madvise(reinterpret_cast<void *>(start), end - start, MADV_HUGEPAGE);
}

int32_t scenebrush_lanes() { return LANES; }

int32_t scenebrush_multiplies_half() {
#ifdef __AVX512BF16__
    return 1;
#else
    return 0;
#endif
}

int64_t scenebrush_packed_bytes(int32_t half, int32_t tile, int32_t fin, int32_t fout) {
    return with_types(half, tile, [&](auto type, auto tiling) -> int64_t {
        const int64_t outputs = padded_outputs(fout), inputs = padded_inputs<decltype(type)>(fin);
        return outputs * sizeof(float) + tiling.IN * tiling.IN * inputs * outputs * sizeof type;
    });
}

void scenebrush_pack(int32_t threads, int32_t half, int32_t tile, int32_t fin, int32_t fout, const float *weight,
                     const float *bias, void *packed) {
    with_types(half, tile, [&](auto type, auto tiling) {
        pack_weights<decltype(type), decltype(tiling)>(threads, fin, fout, weight, bias, packed);
    });
}

int64_t scenebrush_scratch_bytes(const Convolution *job) {
    return with_types(job->half, job->tile, [&](auto type, auto tiling) {
        return Convolver<decltype(type), decltype(tiling)>{*job}.scratch_bytes();
    });
}

void scenebrush_convolve(const Convolution *job) {
    with_types(job->half, job->tile, [&](auto type, auto tiling) {
        Convolver<decltype(type), decltype(tiling)>{*job}.run();
    });
}

int64_t scenebrush_tabulation_bytes(const Tabulation *job) {
    return with_types(job->half, 1, [&](auto type, auto) {
        return Tabulator<decltype(type)>{*job}.scratch_bytes();
    });
}

void scenebrush_tabulate(const Tabulation *job) {
    with_types(job->half, 1, [&](auto type, auto) { Tabulator<decltype(type)>{*job}.run(); });
}

void scenebrush_modulate(const Modulation *job) {
    job->half ? modulate_all<bfloat16>(*job) : modulate_all<float>(*job);
}

}  // extern "C"

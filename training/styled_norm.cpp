// Training's CPU kernels: a styled SPADE norm and its activation in two passes forward and two backward.
//
//   u = x + Σ_j strength[j]·noise[j]                     noise, added to the activation
//   n = (u − mean)·scale                                 batch statistics, scale = 1/√(variance + ε)
//   v = n·(1 + γ[p]) + β[p]                              p: the pixel's label pattern, a row of a table
//   z = v·S + T,  S = Σ_k w_k·(1 + s_k),  T = Σ_k w_k·t_k     style codes k, and their weights at the pixel
//   y = z if z > 0, else leak·z
//
// Nothing but x, y and their gradients is ever as large as the picture: γ and β stay in the table, everything else is
// computed again on the way back. Tensors are (B, h, w, C), float32 or bfloat16; all sums are in float32 within a row
// of pixels and in float64 over the rows. Threads share channels, never pixels: every number is one sum in one
// order, however many threads there are.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int LEAST_CHANNELS = 32;  // of a thread: 64 bytes of bfloat16, a cache line

struct Half {
    uint16_t bits;
};

inline float widened(float value) { return value; }
inline float widened(Half value) {
    const uint32_t bits = uint32_t(value.bits) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
}
inline void narrow(float value, float &to) { to = value; }
inline void narrow(float value, Half &to) {  // to the nearest, ties to even; NaN stays one
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    to.bits = uint16_t(value != value ? 0x7FC0 : rounded);
}

}  // namespace

extern "C" {

// What stands beside an operation's name below is what it reads and writes of these.
struct Norm {
    int64_t images, height, width, channels;
    int32_t half, threads, noises, noise_images, styles;
    float leak;
    const void *x, *dy;        // (B, h, w, C)
    void *y, *dx;              // (B, h, w, C)
    const float *noise;        // (noise_images, J, h, w)
    const float *strength;     // (J, C)
    const float *mean, *scale; // (C)
    const float *table;        // (rows, 2C): γ, then β
    const int32_t *index;      // (B, h, w), rows of the table
    const float *style;        // (B, K, 2C): s, then t
    const float *weights;      // (B, K, h, w), or null where K = 1
    double *sums;              // (2, C): Σu and Σu²; backward: Σdn and Σdn·n
    float *dtable;             // (rows, 2C)
    double *dstyle;            // (B, K, 2C)
    double *dstrength;         // (J, C)
    const float *dmean;        // (2, C): means of dn and of dn·n, over the whole batch
};

}  // extern "C"

namespace {

using Parallel = void (*)(void (*)(void *), void *, unsigned, unsigned);
Parallel omp_parallel = nullptr;

// work(first, count) for blocks of channels, each by one thread.
template <class Work>
void over_channels(const Norm &job, const Work &work) {
    const int channels = int(job.channels);
    int threads = std::max(1, std::min(job.threads, (channels + LEAST_CHANNELS - 1) / LEAST_CHANNELS));
    if (!omp_parallel) threads = 1;
    const int block = threads == 1 ? channels
                                   : (channels / threads + LEAST_CHANNELS - 1) / LEAST_CHANNELS * LEAST_CHANNELS;
    struct Shared {
        const Work *work;
        int next, block, channels;
    } shared{&work, 0, block, channels};
    auto body = [](void *argument) {
        auto &shared = *static_cast<Shared *>(argument);
        for (;;) {
            const int first = __atomic_fetch_add(&shared.next, shared.block, __ATOMIC_RELAXED);
            if (first >= shared.channels) return;
            (*shared.work)(first, std::min(shared.block, shared.channels - first));
        }
    };
    if (threads == 1) body(&shared);
    else omp_parallel(body, &shared, unsigned(threads), 0);
}

// A thread's working memory: rows of `count` floats.
struct Scratch {
    std::vector<float> memory;
    int count;
    Scratch(int rows, int count_) : memory(size_t(rows) * count_), count(count_) {}
    float *row(int i) { return memory.data() + size_t(i) * count; }
};

template <class Type>
inline void add_noise(const Norm &job, int64_t b, int64_t pixel, int first, int count, float *__restrict u) {
    const int64_t size = job.height * job.width, C = job.channels;
    const Type *__restrict x = static_cast<const Type *>(job.x) + (b * size + pixel) * C + first;
    for (int c = 0; c < count; c++) u[c] = widened(x[c]);
    const float *noise = job.noise + (job.noise_images == 1 ? 0 : b) * job.noises * size + pixel;
    for (int j = 0; j < job.noises; j++) {
        const float value = noise[j * size];
        const float *__restrict strength = job.strength + j * C + first;
        for (int c = 0; c < count; c++) u[c] += strength[c] * value;
    }
}

// S and T of one pixel; for one style they are the image's.
inline void styled(const Norm &job, int64_t b, int64_t pixel, int first, int count, float *__restrict scale,
                   float *__restrict shift) {
    const int64_t size = job.height * job.width, C = job.channels;
    for (int k = 0; k < job.styles; k++) {
        const float weight = job.weights ? job.weights[(b * job.styles + k) * size + pixel] : 1.0f;
        const float *__restrict s = job.style + (b * job.styles + k) * 2 * C + first, *__restrict t = s + C;
        if (k == 0)
            for (int c = 0; c < count; c++) scale[c] = weight * (1.0f + s[c]), shift[c] = weight * t[c];
        else
            for (int c = 0; c < count; c++) scale[c] += weight * (1.0f + s[c]), shift[c] += weight * t[c];
    }
}

template <class Type>
void measure(const Norm &job, int first, int count) {
    Scratch scratch(3, count);
    float *__restrict u = scratch.row(0), *__restrict sum = scratch.row(1), *__restrict square = scratch.row(2);
    double *total = job.sums + first, *total_square = total + job.channels;
    for (int64_t b = 0; b < job.images; b++)
        for (int64_t y = 0; y < job.height; y++) {
            std::fill(sum, sum + 2 * count, 0.0f);
            for (int64_t pixel = y * job.width; pixel < (y + 1) * job.width; pixel++) {
                add_noise<Type>(job, b, pixel, first, count, u);
                for (int c = 0; c < count; c++) sum[c] += u[c], square[c] += u[c] * u[c];
            }
            for (int c = 0; c < count; c++) total[c] += sum[c], total_square[c] += square[c];
        }
}

template <class Type>
void paint(const Norm &job, int first, int count) {
    Scratch scratch(3, count);
    float *__restrict u = scratch.row(0), *__restrict scale = scratch.row(1), *__restrict shift = scratch.row(2);
    const int64_t size = job.height * job.width, C = job.channels;
    const float *__restrict mean = job.mean + first, *__restrict rate = job.scale + first;
    const float leak = job.leak;
    for (int64_t b = 0; b < job.images; b++)
        for (int64_t pixel = 0; pixel < size; pixel++) {
            add_noise<Type>(job, b, pixel, first, count, u);
            if (job.weights || pixel == 0) styled(job, b, pixel, first, count, scale, shift);
            const float *__restrict gamma = job.table + int64_t(job.index[b * size + pixel]) * 2 * C + first;
            const float *__restrict beta = gamma + C;
            Type *__restrict out = static_cast<Type *>(job.y) + (b * size + pixel) * C + first;
            for (int c = 0; c < count; c++) {
                const float v = (u[c] - mean[c]) * rate[c] * (1.0f + gamma[c]) + beta[c];
                const float z = v * scale[c] + shift[c];
                narrow(z * (z > 0 ? 1.0f : leak), out[c]);
            }
        }
}

// dn, n and what lies before them, at one pixel. `visit(c, n, dn, dv, dz, v)` for every channel.
template <class Type, class Visit>
inline void back(const Norm &job, int64_t b, int64_t pixel, int first, int count, const float *__restrict u,
                 const float *__restrict scale, const float *__restrict shift, const Visit &visit) {
    const int64_t size = job.height * job.width, C = job.channels;
    const float *__restrict mean = job.mean + first, *__restrict rate = job.scale + first;
    const float *__restrict gamma = job.table + int64_t(job.index[b * size + pixel]) * 2 * C + first;
    const float *__restrict beta = gamma + C;
    const Type *__restrict dy = static_cast<const Type *>(job.dy) + (b * size + pixel) * C + first;
    const float leak = job.leak;
#pragma GCC ivdep
    for (int c = 0; c < count; c++) {
        const float n = (u[c] - mean[c]) * rate[c], gain = 1.0f + gamma[c], v = n * gain + beta[c];
        const float z = v * scale[c] + shift[c], dz = widened(dy[c]) * (z > 0 ? 1.0f : leak);
        const float dv = dz * scale[c];
        visit(c, n, dv * gain, dv, dz, v);
    }
}

template <class Type>
void gather_gradients(const Norm &job, int first, int count) {
    Scratch scratch(5 + 2 * job.styles, count);
    float *__restrict u = scratch.row(0), *__restrict scale = scratch.row(1), *__restrict shift = scratch.row(2);
    float *__restrict sum = scratch.row(3), *__restrict product = scratch.row(4), *dstyle = scratch.row(5);
    const int64_t size = job.height * job.width, C = job.channels;
    double *total = job.sums + first, *total_product = total + C;
    for (int64_t b = 0; b < job.images; b++)
        for (int64_t y = 0; y < job.height; y++) {
            std::fill(sum, sum + size_t(2 + 2 * job.styles) * count, 0.0f);
            for (int64_t pixel = y * job.width; pixel < (y + 1) * job.width; pixel++) {
                add_noise<Type>(job, b, pixel, first, count, u);
                if (job.weights || pixel == y * job.width) styled(job, b, pixel, first, count, scale, shift);
                float *__restrict dgamma = job.dtable + int64_t(job.index[b * size + pixel]) * 2 * C + first;
                float *__restrict dbeta = dgamma + C;
                if (job.styles == 1 && !job.weights) {
                    float *__restrict ds = dstyle, *__restrict dt = dstyle + count;
                    back<Type>(job, b, pixel, first, count, u, scale, shift,
                               [=](int c, float n, float dn, float dv, float dz, float v) {
                                   sum[c] += dn, product[c] += dn * n;
                                   dgamma[c] += dv * n, dbeta[c] += dv;
                                   ds[c] += dz * v, dt[c] += dz;
                               });
                } else {
                    const float *weights = job.weights + b * job.styles * size + pixel;
                    const int styles = job.styles;
                    back<Type>(job, b, pixel, first, count, u, scale, shift,
                               [=](int c, float n, float dn, float dv, float dz, float v) {
                                   sum[c] += dn, product[c] += dn * n;
                                   dgamma[c] += dv * n, dbeta[c] += dv;
                                   for (int k = 0; k < styles; k++) {
                                       const float share = weights[k * size] * dz;
                                       dstyle[2 * k * count + c] += share * v;
                                       dstyle[(2 * k + 1) * count + c] += share;
                                   }
                               });
                }
            }
            for (int c = 0; c < count; c++) total[c] += sum[c], total_product[c] += product[c];
            for (int k = 0; k < job.styles; k++)
                for (int part = 0; part < 2; part++) {
                    double *to = job.dstyle + ((b * job.styles + k) * 2 + part) * C + first;
                    for (int c = 0; c < count; c++) to[c] += dstyle[(2 * k + part) * count + c];
                }
        }
}

template <class Type>
void pass_back(const Norm &job, int first, int count) {
    Scratch scratch(4 + job.noises, count);
    float *__restrict u = scratch.row(0), *__restrict scale = scratch.row(1), *__restrict shift = scratch.row(2);
    float *__restrict dx = scratch.row(3), *dstrength = scratch.row(4);
    const int64_t size = job.height * job.width, C = job.channels;
    const float *__restrict rate = job.scale + first;
    const float *__restrict mean_of = job.dmean + first, *__restrict mean_of_product = mean_of + C;
    for (int64_t b = 0; b < job.images; b++)
        for (int64_t y = 0; y < job.height; y++) {
            std::fill(dstrength, dstrength + size_t(job.noises) * count, 0.0f);
            for (int64_t pixel = y * job.width; pixel < (y + 1) * job.width; pixel++) {
                add_noise<Type>(job, b, pixel, first, count, u);
                if (job.weights || pixel == y * job.width) styled(job, b, pixel, first, count, scale, shift);
                back<Type>(job, b, pixel, first, count, u, scale, shift,
                           [=](int c, float n, float dn, float, float, float) {
                               dx[c] = rate[c] * (dn - mean_of[c] - n * mean_of_product[c]);
                           });
                Type *__restrict out = static_cast<Type *>(job.dx) + (b * size + pixel) * C + first;
                for (int c = 0; c < count; c++) narrow(dx[c], out[c]);
                const float *noise = job.noise + (job.noise_images == 1 ? 0 : b) * job.noises * size + pixel;
                for (int j = 0; j < job.noises; j++) {
                    const float value = noise[j * size];
                    float *__restrict to = dstrength + size_t(j) * count;
                    for (int c = 0; c < count; c++) to[c] += dx[c] * value;
                }
            }
            for (int j = 0; j < job.noises; j++)
                for (int c = 0; c < count; c++) job.dstrength[j * C + first + c] += dstrength[size_t(j) * count + c];
        }
}

}  // namespace

#define BOTH(function)                                                         \
    over_channels(*job, [&](int first, int count) {                            \
        if (job->half) function<Half>(*job, first, count);                     \
        else function<float>(*job, first, count);                              \
    })

extern "C" {

void scenebrush_use_openmp(void *parallel) { omp_parallel = reinterpret_cast<Parallel>(parallel); }

// x, noise, strength → sums of u and u²
void scenebrush_norm_measure(const Norm *job) { BOTH(measure); }

// the norm's inputs, mean and scale → y
void scenebrush_norm_paint(const Norm *job) { BOTH(paint); }

// dy → sums of dn and dn·n, dtable, dstyle
void scenebrush_norm_gather(const Norm *job) { BOTH(gather_gradients); }

// dy, dmean → dx, dstrength
void scenebrush_norm_back(const Norm *job) { BOTH(pass_back); }

}  // extern "C"

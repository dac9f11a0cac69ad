/* Elementwise functions on vectors of doubles, for the code that c_code.py writes.

   Every function works lane by lane and has no branch, so that the result of a cell is the same to
   the last bit whichever lane it is in. NaN gives NaN. Errors are a few units in the last place
   (tests/adapters/pybamm/test_compiled_cells.py measures them against numpy). */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define WIDTH 8
#elif defined(__AVX__)
#define WIDTH 4
#else
#define WIDTH 2
#endif

typedef double V __attribute__((vector_size(8 * WIDTH)));
/* Rows of the caller's arrays are aligned to doubles only. */
typedef double U __attribute__((vector_size(8 * WIDTH), aligned(8), may_alias));
typedef int64_t I __attribute__((vector_size(8 * WIDTH)));
typedef uint64_t N __attribute__((vector_size(8 * WIDTH)));

#define K(value) ((V){0} + (value))
#define SIGN ((int64_t)(-0x7fffffffffffffffLL - 1))

INLINE I bits(V x) { return (I)x; }
INLINE V number(I x) { return (V)x; }
INLINE V magnitude(V x) { return (V)((I)x & ~SIGN); }
INLINE V with_sign(V size, V sign) { return (V)(((I)size & ~SIGN) | ((I)sign & SIGN)); }

#if WIDTH == 8
typedef __mmask8 M;
#define COMPARE(name, code) \
    INLINE M name(V a, V b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, code); }
COMPARE(lt, _CMP_LT_OQ)
COMPARE(le, _CMP_LE_OQ)
COMPARE(eq, _CMP_EQ_OQ)
COMPARE(ne, _CMP_NEQ_UQ)
INLINE V choose(M m, V a, V b) { return (V)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
INLINE V root(V x) { return (V)_mm512_sqrt_pd((__m512d)x); }
/* The second operand if either is NaN. */
INLINE V lesser(V a, V b) { return (V)_mm512_min_pd((__m512d)a, (__m512d)b); }
INLINE V greater(V a, V b) { return (V)_mm512_max_pd((__m512d)a, (__m512d)b); }
#else
typedef I M;
INLINE M lt(V a, V b) { return a < b; }
INLINE M le(V a, V b) { return a <= b; }
INLINE M eq(V a, V b) { return a == b; }
INLINE M ne(V a, V b) { return a != b; }
INLINE V choose(M m, V a, V b) { return (V)((m & (I)a) | (~m & (I)b)); }
#if WIDTH == 4
INLINE V root(V x) { return (V)_mm256_sqrt_pd((__m256d)x); }
INLINE V lesser(V a, V b) { return (V)_mm256_min_pd((__m256d)a, (__m256d)b); }
INLINE V greater(V a, V b) { return (V)_mm256_max_pd((__m256d)a, (__m256d)b); }
#else
INLINE V root(V x)
{
    for (int lane = 0; lane < WIDTH; lane++) x[lane] = __builtin_sqrt(x[lane]);
    return x;
}
INLINE V lesser(V a, V b) { return choose(lt(a, b), a, b); }
INLINE V greater(V a, V b) { return choose(lt(b, a), a, b); }
#endif
#endif

INLINE V flag(M m) { return choose(m, K(1.0), K(0.0)); }
INLINE V less(V a, V b) { return flag(lt(a, b)); }
INLINE V less_equal(V a, V b) { return flag(le(a, b)); }
INLINE V equal(V a, V b) { return flag(eq(a, b)); }
INLINE V not_equal(V a, V b) { return flag(ne(a, b)); }
INLINE V minimum(V a, V b) { return choose(ne(a, a), a, lesser(a, b)); }
INLINE V maximum(V a, V b) { return choose(ne(a, a), a, greater(a, b)); }
INLINE V sign(V x) { return choose(eq(x, K(0.0)) , K(0.0), choose(ne(x, x), x, with_sign(K(1.0), x))); }

/* Adding and taking away rounds to an integer, which is then in the low bits of the sum. */
#define ROUNDER 6755399441055744.0
#define LN2_HIGH 6.93147180369123816490e-01 /* the leading 33 bits: its small multiples are exact */
#define LN2_LOW 1.90821492927058770002e-10

/* e^r - 1 for |r| <= ln(2)/2, Taylor. */
INLINE V exp_series(V r)
{
    V p = K(1.0 / 6227020800.0);
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    return p * r * r + r;
}

/* x = n ln(2) + r; returns r. */
INLINE V reduce(V x, V *n)
{
    *n = x * 1.4426950408889634 + ROUNDER - ROUNDER;
    return x - *n * LN2_HIGH - *n * LN2_LOW;
}

/* y 2^n for integers n from -2100 to 2100, in steps that neither overflow nor underflow early. */
INLINE V scale(V y, V n)
{
#if WIDTH == 8
    return (V)_mm512_scalef_pd((__m512d)y, (__m512d)n);
#else
    V half = n * 0.5 + ROUNDER - ROUNDER;
    V first = number((bits(half + ROUNDER) << 52) + 0x3ff0000000000000LL);
    V second = number((bits(n - half + ROUNDER) << 52) + 0x3ff0000000000000LL);
    return y * first * second;
#endif
}

INLINE V exponential(V x)
{
    V n, r = reduce(greater(K(-800.0), lesser(K(800.0), x)), &n);
    return scale(exp_series(r) + 1.0, n);
}

/* e^x - 1 for x >= 0 */
INLINE V grow(V x)
{
    V n, r = reduce(lesser(K(800.0), x), &n);
    V y = exp_series(r);
    V large = scale(y + 1.0, n), power = scale(K(1.0), n);
    /* Past 2^60 the one that is taken away no longer shows, and 2^n may be infinite. */
    return choose(lt(K(60.0), n), large, y * power + (power - 1.0));
}

/* 2 atanh(s) - 2 s for |s| <= 0.172, Taylor. */
INLINE V log_series(V s)
{
    V z = s * s, p = K(1.0 / 21.0);
    p = p * z + 1.0 / 19.0;
    p = p * z + 1.0 / 17.0;
    p = p * z + 1.0 / 15.0;
    p = p * z + 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z + 1.0 / 3.0;
    return 2.0 * s * z * p;
}

/* x = 2^n (1 + f), 1 + f from sqrt(1/2) to sqrt(2); returns f. For normal positive x. */
INLINE V split(V x, V *n)
{
    N shifted = (N)(bits(x) + (0x3ff0000000000000LL - 0x3fe6a09e667f3bcdLL));
    *n = number((I)(shifted >> 52) + 0x4330000000000000LL) - (4503599627370496.0 + 1023.0);
    return number((I)(shifted & 0x000fffffffffffffULL) + 0x3fe6a09e667f3bcdLL) - 1.0;
}

INLINE V join(V n, V s) { return n * LN2_HIGH + (2.0 * s + (log_series(s) + n * LN2_LOW)); }

INLINE V logarithm(V x)
{
    M tiny = lt(x, K(2.2250738585072014e-308));
    V n, f = split(choose(tiny, x * 18014398509481984.0, x), &n);
    n = n - choose(tiny, K(54.0), K(0.0));
    V y = join(n, f / (f + 2.0));
    y = choose(lt(x, K(INFINITY)), y, x);
    return choose(lt(K(0.0), x), y, choose(eq(x, K(0.0)), K(-INFINITY), K(NAN)));
}


/* asinh(a) = ln(1 + f) with f = a + a^2 / (1 + sqrt(1 + a^2)), by one division. */
INLINE V inverse_sinh(V x)
{
    V a = magnitude(x), square = a * a, hypotenuse = root(1.0 + square);
    M huge = lt(K(1e150), a);
    V n, f = split(choose(huge, a, a + hypotenuse), &n);
    V above = a * (1.0 + hypotenuse) + square, below = 1.0 + hypotenuse;
    M near = eq(n, K(0.0));
    V s = choose(near, above, f) / choose(near, above + below + below, f + 2.0);
    V y = join(n + choose(huge, K(1.0), K(0.0)), s);
    return choose(lt(a, K(INFINITY)), with_sign(y, x), x);
}

INLINE V hyperbolic_tangent(V x)
{
    V e = grow(2.0 * lesser(K(22.0), magnitude(x)));
    return with_sign(e / (e + 2.0), x);
}

INLINE V hyperbolic_sine(V x)
{
    V e = grow(magnitude(x));
    return with_sign(choose(lt(e, K(1e17)), 0.5 * (e + e / (e + 1.0)), 0.5 * e), x);
}

INLINE V hyperbolic_cosine(V x)
{
    V e = exponential(magnitude(x));
    return 0.5 * e + 0.5 / e;
}

/* Seldom used: the C library's functions, a lane at a time. */
#define BY_LANE(name, function) \
    INLINE V name(V x) \
    { \
        for (int lane = 0; lane < WIDTH; lane++) x[lane] = function(x[lane]); \
        return x; \
    }
BY_LANE(exponential_less_one, expm1)
BY_LANE(log_of_one_more, log1p)
BY_LANE(sine, sin)
BY_LANE(cosine, cos)
BY_LANE(inverse_tangent, atan)
BY_LANE(round_down, floor)
BY_LANE(round_up, ceil)
INLINE V power(V x, V y)
{
    for (int lane = 0; lane < WIDTH; lane++) x[lane] = pow(x[lane], y[lane]);
    return x;
}

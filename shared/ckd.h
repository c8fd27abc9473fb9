/*
 * Arithmetic with an overflow answer, as C23's <stdckdint.h>: true means the
 * result did not fit. Sums and products of numbers from outside go through it.
 */
#ifndef SHARED_CKD_H
#define SHARED_CKD_H

#define ckd_add(result, a, b) __builtin_add_overflow((a), (b), (result))
#define ckd_sub(result, a, b) __builtin_sub_overflow((a), (b), (result))
#define ckd_mul(result, a, b) __builtin_mul_overflow((a), (b), (result))

#endif

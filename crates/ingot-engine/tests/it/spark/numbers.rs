//! Functions of numbers.

use super::check;

#[tokio::test]
async fn numbers_are_rounded() {
    check(&[
        ("SELECT round(2.5, 0), typeof(round(2.5, 0)), round(2.345, 2), typeof(round(2.345, 2)), bround(2.5, 0), bround(25, -1)", "3|decimal(2,0)|2.35|decimal(4,2)|2|20"),
        ("SELECT round(25, -1), typeof(round(25, -1)), round(2.5d), round(-2.5d), round(1.005d, 2), typeof(round(1L)), round(5.5f)", "30|int|3.0|-3.0|1.01|bigint|6.0"),
        ("SELECT round(125.5, -1), typeof(round(125.5, -1)), round(NULL), round('1.55', 1), round(2147483647, 0)", "130|decimal(4,0)|NULL|1.6|2147483647"),
        ("SELECT round(2147483647, -1)", "!ARITHMETIC_OVERFLOW"),
        ("SELECT ceil(-0.1), typeof(ceil(-0.1)), ceil(5), typeof(ceil(5)), ceil(1.2d), typeof(ceil(1.2d)), ceiling(3.1411, 3), ceil(3.1411, -3)", "0|decimal(1,0)|5|bigint|2|bigint|3.142|1000"),
        ("SELECT floor(-0.1), typeof(floor(1.25)), floor(5.7d), floor(3.1411, 3), floor(3.1411, -3), typeof(floor(3.1411, 3))", "-1|decimal(2,0)|5|3.141|0|decimal(5,3)"),
        ("SELECT ceil(1.5d, 0), typeof(ceil(1.5d, 0)), ceil('1.5')", "2|decimal(16,0)|2"),
        ("SELECT rint(2.5d), typeof(rint(12.3456)), sign(-2), typeof(sign(40)), signum(0.0d), sign(NULL)", "2.0|double|-1.0|double|0.0|NULL"),
    ])
    .await;
}

#[tokio::test]
async fn doubles_are_computed_with() {
    check(&[
        ("SELECT e(), pi(), exp(0), ln(1), log(10, 100), log(2.718281828459045), log2(2), log10(10), log1p(0), expm1(0)", "2.718281828459045|3.141592653589793|1.0|0.0|2.0|1.0|1.0|1.0|0.0|0.0"),
        ("SELECT ln(0), log10(-1), log(0, 2), log(2, 0), log1p(-1), log2('8')", "NULL|NULL|NULL|NULL|NULL|3.0"),
        ("SELECT sqrt(4), cbrt(27), pow(2, 3), power(2, -1), hypot(3, 4), atan2(0, 0), degrees(pi()), radians(180)", "2.0|3.0|8.0|0.5|5.0|0.0|180.0|3.141592653589793"),
        ("SELECT round(cot(1), 6), round(csc(1), 6), sec(0), sin(0), cosh(0), acosh(1), asinh(0), atanh(0), sqrt(-1)", "0.642093|1.188395|1.0|0.0|1.0|0.0|0.0|0.0|NaN"),
        ("SELECT sin('x')", "!CAST_INVALID_INPUT"),
        ("SELECT sin(true)", "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"),
        ("SELECT typeof(sqrt(4.0)), typeof(exp(1f)), typeof(pow(2, 3))", "double|double|double"),
        ("SELECT factorial(5), factorial(21), factorial(-1), typeof(factorial(5))", "120|NULL|NULL|bigint"),
        ("SELECT greatest(10, 9, 2, 4.5), typeof(greatest(1, 2.5)), greatest(1d, double('NaN')), least(1, NULL, 3), least(double('NaN'), 2d), greatest(NULL, NULL)", "10.0|decimal(11,1)|NaN|1|2.0|NULL"),
        ("SELECT greatest('a', 'b'), greatest(date'2024-01-01', date'2025-01-01'), greatest('1', 2), typeof(greatest('1', 2))", "b|2025-01-01|2|bigint"),
        ("SELECT greatest(1)", "!WRONG_NUM_ARGS.WITHOUT_SUGGESTION"),
        ("SELECT greatest(1, true)", "!DATATYPE_MISMATCH.DATA_DIFF_TYPES"),
        ("SELECT width_bucket(5.3, 0.2, 10.6, 5), width_bucket(-2.1, 1.3, 3.4, 3), width_bucket(8.1, 0.0, 5.7, 4), width_bucket(-0.9, 5.2, 0.5, 2)", "3|0|5|3"),
    ])
    .await;
}

#[tokio::test]
async fn whole_numbers_have_other_forms() {
    check(&[
        ("SELECT conv('100', 2, 10), conv(-10, 16, -10), conv('ff', 16, 10), conv('', 10, 2), conv(NULL, 10, 2)", "4|-16|255|NULL|NULL"),
        ("SELECT conv('9223372036854775808999', 10, 2)", "!ARITHMETIC_OVERFLOW"),
        ("SELECT bin(13), bin(-1), hex(17), hex('Spark SQL'), hex(X'0f'), decode(unhex('537061726B2053514C'), 'UTF-8'), unhex('zz')", "1101|1111111111111111111111111111111111111111111111111111111111111111|11|537061726B2053514C|0F|Spark SQL|NULL"),
        ("SELECT bit_count(7), bit_count(true), bit_get(11, 0), getbit(11, 2), typeof(bit_get(11, 0)), ~0, 3 & 5, 3 | 5, 3 ^ 5", "3|1|1|0|tinyint|-1|1|7|6"),
        ("SELECT shiftleft(2, 1), shiftright(4, 1), shiftrightunsigned(-4, 1), 1 << 3, -8 >> 1, typeof(shiftleft(2L, 1)), typeof(shiftleft(2Y, 1)) AS t", "4|2|2147483646|8|-4|bigint|int"),
        ("SELECT abs(-1), abs(-1.5), typeof(abs(-1Y)), negative(1), positive(-1), typeof(negative(1.5))", "1|1.5|tinyint|-1|-1|decimal(2,1)"),
        ("SELECT abs(-2147483648)", "!ARITHMETIC_OVERFLOW"),
        ("SELECT negative(-2147483648)", "!ARITHMETIC_OVERFLOW"),
    ])
    .await;
}

#[tokio::test]
async fn arithmetic_may_fail_with_null() {
    check(&[
        ("SELECT mod(10, 3), pmod(10, 3), pmod(-10, 3), pmod(-7, -3), mod(-7, 3), typeof(pmod(1Y, 2)), 2 % 1.8, typeof(2 % 1.8)", "1|1|2|-1|-1|int|0.2|decimal(2,1)"),
        ("SELECT pmod(-1.5, 1), pmod(-5d, 3)", "0.5|1.0"),
        ("SELECT pmod(1, 0)", "!REMAINDER_BY_ZERO"),
        ("SELECT mod(1, 0)", "!REMAINDER_BY_ZERO"),
        ("SELECT try_add(1, 2), try_add(2147483647, 1), try_subtract(-2147483648, 1), try_multiply(2147483647, 2), try_divide(3, 2), try_divide(1, 0), try_mod(3, 2), try_mod(1, 0)", "3|NULL|NULL|NULL|1.5|NULL|1|NULL"),
        ("SELECT typeof(try_add(1, 2L)), typeof(try_divide(1, 2)), try_divide(1.0, 0), try_add(1.5, NULL), try_add(1.5, 1), try_multiply(1e308, 10)", "bigint|double|NULL|NULL|2.5|inf"),
        ("SELECT 7 div 2, -7 div 2, typeof(3 div 2), 7.5 div 2", "3|-3|bigint|3"),
        ("SELECT 1 div 0", "!DIVIDE_BY_ZERO"),
        ("SELECT (-9223372036854775807L - 1L) div -1", "!ARITHMETIC_OVERFLOW"),
    ])
    .await;
}

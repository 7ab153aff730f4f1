/* Arithmetic by recursive descent.
 *
 *     sum     = product { ("+" | "-") product }
 *     product = unary { ("*" | "/" | "%") unary }
 *     unary   = ("+" | "-") unary | power
 *     power   = factor [ ("^" | "**") unary ]        right-associative, binds tighter than a sign
 * before it factor  = primary { "!" } primary = number | constant | function "(" sum { "," sum }
 * ")" | "(" sum ")"
 */
#include <inttypes.h>
#include <math.h>

#include "tool/builtins.h"

enum { MAX_EXPRESSION_BYTES = 4096, MAX_DEPTH = 64, MAX_ARGUMENTS = 16, MAX_FACTORIAL = 170 };

struct parser {
    struct str text;
    size_t at;
    int depth;
    struct err *err;
};

static int sum(struct parser *p, double *ret);

static void skip_space(struct parser *p) {
    while (p->at < p->text.n && (p->text.p[p->at] == ' ' || p->text.p[p->at] == '\t' ||
                                 p->text.p[p->at] == '\n' || p->text.p[p->at] == '\r')) {
        p->at++;
    }
}

static bool took(struct parser *p, const char *token) {
    skip_space(p);
    if (!str_starts(str_skip(p->text, p->at), str_z(token))) {
        return false;
    }
    p->at += strlen(token);
    return true;
}

static int fail(struct parser *p, const char *what) {
    return err_set(p->err, ERR_INVALID, "%s at position %zu", what, p->at + 1);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char peek(const struct parser *p, size_t ahead) {
    return p->at + ahead < p->text.n ? p->text.p[p->at + ahead] : '\0';
}

static size_t count_digits(const struct parser *p, size_t from) {
    size_t n = 0;
    while (is_digit(peek(p, from + n))) {
        n++;
    }
    return n;
}

static int number(struct parser *p, double *ret) {
    char digits[64];
    size_t n = count_digits(p, 0);
    if (peek(p, n) == '.') {
        n += 1 + count_digits(p, n + 1);
    }
    if (peek(p, n) == 'e' || peek(p, n) == 'E') {
        size_t sign = peek(p, n + 1) == '+' || peek(p, n + 1) == '-';
        size_t exponent = count_digits(p, n + 1 + sign);
        n += exponent ? 1 + sign + exponent : 0;
    }
    if (n >= sizeof digits) {
        return fail(p, "a number is too long");
    }
    memcpy(digits, p->text.p + p->at, n);
    digits[n] = '\0';
    p->at += n;
    *ret = strtod(digits, NULL);
    return 0;
}

static double least(const double *v, size_t n) {
    double m = v[0];
    for (size_t i = 1; i < n; i++) {
        m = fmin(m, v[i]);
    }
    return m;
}

static double greatest(const double *v, size_t n) {
    double m = v[0];
    for (size_t i = 1; i < n; i++) {
        m = fmax(m, v[i]);
    }
    return m;
}

static double rounded(const double *v, size_t n) {
    double scale = n > 1 ? pow(10, trunc(v[1])) : 1;
    return round(v[0] * scale) / scale;
}

static double logarithm(const double *v, size_t n) {
    return n > 1 ? log(v[0]) / log(v[1]) : log10(v[0]);
}

/* Either one argument or, with `many`, one to `most`. */
static const struct function {
    const char *name;
    double (*one)(double);
    double (*many)(const double *v, size_t n);
    size_t most;
} functions[] = {
    {"abs", fabs, NULL, 1},
    {"sqrt", sqrt, NULL, 1},
    {"cbrt", cbrt, NULL, 1},
    {"exp", exp, NULL, 1},
    {"ln", log, NULL, 1},
    {"log2", log2, NULL, 1},
    {"sin", sin, NULL, 1},
    {"cos", cos, NULL, 1},
    {"tan", tan, NULL, 1},
    {"asin", asin, NULL, 1},
    {"acos", acos, NULL, 1},
    {"atan", atan, NULL, 1},
    {"floor", floor, NULL, 1},
    {"ceil", ceil, NULL, 1},
    {"trunc", trunc, NULL, 1},
    {"log", NULL, logarithm, 2},
    {"round", NULL, rounded, 2},
    {"min", NULL, least, MAX_ARGUMENTS},
    {"max", NULL, greatest, MAX_ARGUMENTS},
};

static const struct function *find_function(struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (str_eq_nocase(name, str_z(functions[i].name))) {
            return &functions[i];
        }
    }
    return NULL;
}

static int call(struct parser *p, const struct function *f, double *ret) {
    double v[MAX_ARGUMENTS];
    size_t n = 0;
    if (!took(p, "(")) {
        return fail(p, "a function needs \"(\"");
    }
    do {
        if (n == f->most) {
            return fail(p, "too many arguments");
        }
        if (sum(p, &v[n++]) < 0) {
            return -(int)p->err->code;
        }
    } while (took(p, ","));
    if (!took(p, ")")) {
        return fail(p, "\")\" is missing");
    }
    *ret = f->one ? f->one(v[0]) : f->many(v, n);
    return 0;
}

static int named(struct parser *p, double *ret) {
    size_t n = 0;
    while (is_letter(peek(p, n)) || (n && is_digit(peek(p, n)))) {
        n++;
    }
    struct str name = str_head(str_skip(p->text, p->at), n);
    const struct function *f = find_function(name);
    if (!f && !str_eq_nocase(name, STR("pi")) && !str_eq_nocase(name, STR("e"))) {
        return fail(p, "an unknown name");
    }
    p->at += n;
    if (f) {
        return call(p, f, ret);
    }
    *ret = name.n == 2 ? M_PI : M_E;
    return 0;
}

static int primary(struct parser *p, double *ret) {
    skip_space(p);
    char c = peek(p, 0);
    if (is_digit(c) || (c == '.' && is_digit(peek(p, 1)))) {
        return number(p, ret);
    }
    if (is_letter(c)) {
        return named(p, ret);
    }
    if (!took(p, "(")) {
        return fail(p, p->at == p->text.n ? "something is missing" : "an unexpected character");
    }
    if (sum(p, ret) < 0) {
        return -(int)p->err->code;
    }
    return took(p, ")") ? 0 : fail(p, "\")\" is missing");
}

static int factor(struct parser *p, double *ret) {
    if (primary(p, ret) < 0) {
        return -(int)p->err->code;
    }
    while (took(p, "!")) {
        if (*ret < 0 || *ret > MAX_FACTORIAL || *ret != trunc(*ret)) {
            return fail(p, "a factorial needs a whole number from 0 to 170");
        }
        *ret = round(tgamma(*ret + 1));
    }
    return 0;
}

static int unary(struct parser *p, double *ret);

static int power(struct parser *p, double *ret) {
    double exponent;
    if (factor(p, ret) < 0) {
        return -(int)p->err->code;
    }
    if (took(p, "**") || took(p, "^")) {
        if (unary(p, &exponent) < 0) {
            return -(int)p->err->code;
        }
        *ret = pow(*ret, exponent);
    }
    return 0;
}

static int unary(struct parser *p, double *ret) {
    if (p->depth >= MAX_DEPTH) {
        return fail(p, "nested too deeply");
    }
    p->depth++;
    int sign = took(p, "-") ? -1 : took(p, "+") ? 1 : 0;
    int rc = sign ? unary(p, ret) : power(p, ret);
    if (rc == 0 && sign < 0) {
        *ret = -*ret;
    }
    p->depth--;
    return rc;
}

static int product(struct parser *p, double *ret) {
    double right;
    if (unary(p, ret) < 0) {
        return -(int)p->err->code;
    }
    for (;;) {
        skip_space(p);
        char op = peek(p, 0);
        if (op != '*' && op != '/' && op != '%') {
            return 0;
        }
        p->at++;
        if (unary(p, &right) < 0) {
            return -(int)p->err->code;
        }
        if (op != '*' && right == 0) {
            return fail(p, "a division by zero");
        }
        *ret = op == '*' ? *ret * right : op == '/' ? *ret / right : fmod(*ret, right);
    }
}

static int sum(struct parser *p, double *ret) {
    double right;
    if (product(p, ret) < 0) {
        return -(int)p->err->code;
    }
    for (;;) {
        bool plus = took(p, "+");
        if (!plus && !took(p, "-")) {
            return 0;
        }
        if (product(p, &right) < 0) {
            return -(int)p->err->code;
        }
        *ret = plus ? *ret + right : *ret - right;
    }
}

int calculate(struct str expression, double *ret, struct err *err) {
    struct parser p = {.text = expression, .err = err};
    double value;
    if (expression.n > MAX_EXPRESSION_BYTES) {
        return err_set(err, ERR_LIMIT, "the expression has more than %d characters",
                       MAX_EXPRESSION_BYTES);
    }
    if (sum(&p, &value) < 0) {
        return -(int)err->code;
    }
    skip_space(&p);
    if (p.at != p.text.n) {
        return fail(&p, "an unexpected character");
    }
    if (!isfinite(value)) {
        return err_set(err, ERR_INVALID, "the result is no finite number");
    }
    *ret = value;
    return 0;
}

static int run(const struct tool_call *tool_call, struct arena *arena, struct tool_result *ret,
               void *context, struct err *err) {
    (void)context;
    struct str expression = {0};
    double value;
    if (json_want_str(tool_call->arguments, "expression", MAX_EXPRESSION_BYTES, &expression, err) <
        0) {
        return -(int)err->code;
    }
    if (!expression.p) {
        return err_set(err, ERR_INVALID, "expression: is missing");
    }
    if (calculate(expression, &value, err) < 0) {
        return -(int)err->code;
    }
    bool whole = value == trunc(value) && fabs(value) < 9007199254740992.0;
    ret->content = whole ? arena_printf(arena, "%" PRId64, (int64_t)value)
                         : arena_printf(arena, "%.15g", value);
    return 0;
}

const struct tool tool_calculate = {
    .name = "calculate",
    .description =
        "The value of an arithmetic expression: + - * / % ^ ! and parentheses; abs, sqrt, "
        "cbrt, exp, ln, log(x, base), log2, sin, cos, tan, asin, acos, atan (radians), "
        "floor, ceil, trunc, round(x, digits), min, max; pi, e.",
    .schema = "{\"type\":\"object\",\"properties\":{\"expression\":{\"type\":\"string\","
              "\"description\":\"for example (3 + 4) * 2 ^ 0.5\"}},\"required\":[\"expression\"],"
              "\"additionalProperties\":false}",
    .repeatable = true,
    .run = run,
};

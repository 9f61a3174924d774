//! Conditions of `#if`.

use pest::Parser;
use pest::iterators::Pair;
use pest::pratt_parser::{Assoc, Op, PrattParser};

#[derive(pest_derive::Parser)]
#[grammar = "syntax/condition.pest"]
struct ConditionParser;

/// How deep parentheses may nest: the parser calls itself for each, and a file must not decide how much stack it takes.
const DEPTH: usize = 32;

/// The longest condition that is read, in bytes.
pub(crate) const LENGTH: usize = 4096;

/// Why a condition cannot be evaluated: words for people, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadCondition {
    pub(crate) why: &'static str,
    /// In bytes of the condition.
    pub(crate) at: usize,
}

impl BadCondition {
    pub(crate) const fn new(why: &'static str, at: usize) -> Self {
        Self { why, at }
    }
}

/// A value as C's preprocessor has it: 64 bits, and whether they are unsigned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) bits: i64,
    is_unsigned: bool,
}

impl Value {
    fn signed(bits: i64) -> Self {
        Self { bits, is_unsigned: false }
    }

    fn truth(holds: bool) -> Self {
        Self::signed(i64::from(holds))
    }

    pub(crate) fn is_true(self) -> bool {
        self.bits != 0
    }
}

/// What the names in a condition are. Macros have been replaced.
pub(crate) trait Names {
    /// Whether there is such a macro.
    fn is_defined(&self, name: &str) -> bool;
    /// Hears of a name that is left, and so is 0.
    fn take_zero(&mut self, name: &str);
}

/// The value of a condition; it holds if that is not 0.
pub(crate) fn evaluate(text: &str, names: &mut dyn Names) -> Result<Value, BadCondition> {
    check_size(text)?;
    if text.trim().is_empty() {
        return Err(BadCondition { why: "is empty", at: 0 });
    }
    let mut pairs = ConditionParser::parse(Rule::condition, text).map_err(|error| {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        };
        BadCondition { why: "is not understood from here on", at }
    })?;
    match pairs.next().and_then(|condition| condition.into_inner().next()) {
        Some(expression) => evaluate_expression(expression, &precedence(), names),
        None => Err(BadCondition { why: "is empty", at: 0 }),
    }
}

fn check_size(text: &str) -> Result<(), BadCondition> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(BadCondition { why: "nests deeper than 32 parentheses", at });
        }
    }
    if text.len() > LENGTH {
        return Err(BadCondition { why: "is longer than 4096 characters", at: 0 });
    }
    Ok(())
}

/// C's operators, the loosest first.
fn precedence() -> PrattParser<Rule> {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::or))
        .op(left(Rule::and))
        .op(left(Rule::bit_or))
        .op(left(Rule::bit_xor))
        .op(left(Rule::bit_and))
        .op(left(Rule::equal) | left(Rule::not_equal))
        .op(left(Rule::less) | left(Rule::less_equal) | left(Rule::greater) | left(Rule::greater_equal))
        .op(left(Rule::shl) | left(Rule::shr))
        .op(left(Rule::add) | left(Rule::sub))
        .op(left(Rule::mul))
}

fn evaluate_expression(
    expression: Pair<'_, Rule>,
    precedence: &PrattParser<Rule>,
    names: &mut dyn Names,
) -> Result<Value, BadCondition> {
    precedence
        .map_primary(|unary| evaluate_unary(unary, precedence, names))
        .map_infix(|left, operator, right| Ok(apply(operator.as_rule(), left?, right?)))
        .parse(expression.into_inner())
}

fn evaluate_unary(
    unary: Pair<'_, Rule>,
    precedence: &PrattParser<Rule>,
    names: &mut dyn Names,
) -> Result<Value, BadCondition> {
    let mut signs = Vec::new();
    let mut value = Value::default();
    for part in unary.into_inner() {
        match part.as_rule() {
            Rule::sign => signs.push(part.as_str()),
            Rule::defined => {
                let name = part.into_inner().next();
                value = Value::truth(name.is_some_and(|name| names.is_defined(name.as_str())));
            }
            Rule::number => {
                let bad = BadCondition { why: "has a number that C does not have", at: part.as_span().start() };
                value = parse_c_number(part.as_str()).ok_or(bad)?;
            }
            Rule::name => names.take_zero(part.as_str()),
            _ => value = evaluate_expression(part, precedence, names)?,
        }
    }
    Ok(signs.iter().rev().fold(value, |value, &sign| match sign {
        "!" => Value::truth(!value.is_true()),
        "-" => Value { bits: value.bits.wrapping_neg(), ..value },
        "~" => Value { bits: !value.bits, ..value },
        _ => value,
    }))
}

fn apply(rule: Rule, left: Value, right: Value) -> Value {
    let (a, b) = (left.bits, right.bits);
    // Of two operands one that is unsigned makes the other so; but a shift has the kind of what is shifted.
    let is_unsigned = left.is_unsigned || right.is_unsigned;
    let order = if is_unsigned { (a as u64).cmp(&(b as u64)) } else { a.cmp(&b) };
    let arithmetic = |bits| Value { bits, is_unsigned };
    // C leaves a shift by more than the width undefined; here the count is taken modulo 64.
    let count = (b & 63) as u32;
    match rule {
        Rule::or => Value::truth(left.is_true() || right.is_true()),
        Rule::and => Value::truth(left.is_true() && right.is_true()),
        Rule::bit_or => arithmetic(a | b),
        Rule::bit_xor => arithmetic(a ^ b),
        Rule::bit_and => arithmetic(a & b),
        Rule::equal => Value::truth(order.is_eq()),
        Rule::not_equal => Value::truth(order.is_ne()),
        Rule::less => Value::truth(order.is_lt()),
        Rule::less_equal => Value::truth(order.is_le()),
        Rule::greater => Value::truth(order.is_gt()),
        Rule::greater_equal => Value::truth(order.is_ge()),
        Rule::shl => Value { bits: a.wrapping_shl(count), ..left },
        Rule::shr if left.is_unsigned => Value { bits: (a as u64).wrapping_shr(count) as i64, ..left },
        Rule::shr => Value { bits: a.wrapping_shr(count), ..left },
        Rule::add => arithmetic(a.wrapping_add(b)),
        Rule::sub => arithmetic(a.wrapping_sub(b)),
        _ => arithmetic(a.wrapping_mul(b)),
    }
}

/// A number of C: decimal, `0x` hexadecimal or octal, with `U` and `L` after it.
fn parse_c_number(text: &str) -> Option<Value> {
    let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
    let has_u = text[digits.len()..].contains(['u', 'U']);
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // The grammar has seen that there is no sign.
    let bits = u64::from_str_radix(digits, radix).ok()?;
    Some(Value { bits: bits as i64, is_unsigned: has_u || i64::try_from(bits).is_err() })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Names for Fixed {
        fn is_defined(&self, name: &str) -> bool {
            name == "X"
        }

        fn take_zero(&mut self, name: &str) {
            assert_eq!(name, "Y");
        }
    }

    #[test]
    fn conditions_are_those_of_c() {
        for (text, value) in [
            ("1", 1),
            ("010", 8),
            ("0x10UL", 16),
            ("(0x05020000 >= 0x05020000)", 1),
            ("Y >= 0x05020000 || Y < 0x06000000", 1),
            ("!defined(X) || defined X", 1),
            ("defined(Y)", 0),
            ("!!7 == 1", 1),
            ("1 + 2 * 3 == 7", 1),
            ("1 | 2 ^ 2 & 0 == 3", 3),
            ("1 << 4 > 15", 1),
            ("-1 < 0", 1),
            ("~0 & 0xff", 255),
            ("2 - 1 - 1", 0),
            ("-1 < 0U", 0),
            ("-1 >> 63", -1),
            ("-1 >> 63 == (0U - 1) >> 63", 0),
            ("0xffffffffffffffff > 1", 1),
        ] {
            assert_eq!(evaluate(text, &mut Fixed).map(|value| value.bits), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_says_where() {
        for (text, at) in
            [("", 0), ("1 +", 3), ("(1", 2), ("1 ? 2 : 3", 2), ("08", 0), ("0x", 0), ("99999999999999999999", 0)]
        {
            assert_eq!(evaluate(text, &mut Fixed).expect_err(text).at, at, "{text}");
        }
    }

    #[test]
    fn depth_and_length_have_limits() {
        let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(evaluate(&nested(DEPTH), &mut Fixed), Ok(Value::signed(1)));
        assert!(evaluate(&nested(DEPTH + 1), &mut Fixed).is_err());
        assert!(evaluate(&nested(1 << 20), &mut Fixed).is_err());
        assert_eq!(evaluate(&format!("{}1", "!".repeat(4000)), &mut Fixed), Ok(Value::signed(1)));
        assert!(evaluate(&"!".repeat(5000), &mut Fixed).is_err());
        let sum = vec!["1"; 2000].join("+");
        assert_eq!(evaluate(&sum, &mut Fixed), Ok(Value::signed(2000)));
    }
}

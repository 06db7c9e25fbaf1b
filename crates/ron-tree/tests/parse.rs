//! What RON means, and where it stands.

use mollify_ron_tree::{Form, Literal, Report, Sources, Tree, parse};

fn read(text: &str) -> Result<Tree, String> {
    let mut sources = Sources::default();
    sources.add("test.ron", text);
    parse(&sources, 0, 0).map_err(|error| Report { errors: vec![error], sources }.to_string())
}

fn literal(text: &str) -> Literal {
    match read(text).unwrap_or_else(|report| panic!("{report}")).form {
        Form::Literal(literal) => literal,
        form => panic!("{text} is {form:?}"),
    }
}

#[test]
fn whole_numbers_stay_exact() {
    for (text, value) in [
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("1_000_000", 1_000_000),
        ("0xff", 255),
        ("0b1010", 10),
        ("0o17", 15),
        ("0xfe", 254),
        ("18446744073709551615", u64::MAX.into()),
        ("-9223372036854775808", i64::MIN.into()),
    ] {
        assert_eq!(literal(text), Literal::Int(value), "{text}");
    }
}

#[test]
fn numbers_with_a_point_or_an_exponent_are_floats() {
    for (text, value) in [
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("1e-3", 1e-3),
        ("2E+4", 2e4),
        (".5", 0.5),
        ("1_0.5", 10.5),
        ("8.0", 8.0),
    ] {
        assert_eq!(literal(text), Literal::Float(value), "{text}");
    }
    assert_eq!(literal("inf"), Literal::Float(f64::INFINITY));
    assert_eq!(literal("-inf"), Literal::Float(f64::NEG_INFINITY));
    assert!(matches!(literal("NaN"), Literal::Float(v) if v.is_nan()));
    assert_eq!(literal("99999999999999999999"), Literal::Float(1e20), "beyond 64 bits");
}

#[test]
fn texts_and_characters_are_unescaped() {
    for (text, value) in [
        (r#""plain""#, "plain"),
        (r#""a \"quote\" and a \\""#, "a \"quote\" and a \\"),
        (r#""line\nbreak \u{3c3}""#, "line\nbreak σ"),
        ("\"two\nlines\"", "two\nlines"),
        (r##"r"raw \n""##, r"raw \n"),
        (r###"r#"raw "quoted""#"###, "raw \"quoted\""),
        (r#""// no comment /* here""#, "// no comment /* here"),
    ] {
        assert_eq!(literal(text), Literal::Text(value.to_owned()), "{text}");
    }
    for (text, value) in [("'a'", 'a'), ("'σ'", 'σ'), (r"'\''", '\''), (r"'\n'", '\n'), ("'\"'", '"')] {
        assert_eq!(literal(text), Literal::Char(value), "{text}");
    }
}

#[test]
fn names_calls_lists_and_maps_print_as_they_were() {
    for text in [
        "None",
        "Some(3)",
        "()",
        "Edm(rho: 7.0)",
        "Pair(1, \"two\", 'c')",
        "[[1, 2], [], [true, false]]",
        "{\"a\": Kind(x: \"b\"), 3: None, 'c': inf}",
        "(about: \"σ\", nodes: {}, type: [-1.5, NaN])",
    ] {
        assert_eq!(read(text).unwrap().to_string(), text);
    }
}

#[test]
fn commas_may_trail_and_space_and_comments_may_stand_anywhere() {
    let text =
        "// first\n( /* a /* b */ c */ x : // to the end\n [ 1 , 2 , ] , y\t:Kind ( ) , /**/ ) // last";
    assert_eq!(read(text).unwrap().to_string(), "(x: [1, 2], y: Kind())");
    let word = read("[low /* not a call */, (1)]").unwrap();
    assert_eq!(word.to_string(), "[low, (1)]");
}

#[test]
fn printed_trees_mean_the_same() {
    for text in
        [r#""tab\tquote\"back\\ \u{0}\u{301} 'x'""#, "0xdead_beef", "1e300", "5e-324", "-0.0", r"'\\'"]
    {
        let tree = read(text).unwrap();
        assert_eq!(read(&tree.to_string()).unwrap().to_string(), tree.to_string(), "{text}");
        assert_eq!(literal(&tree.to_string()), literal(text), "{text}");
    }
}

#[test]
fn every_branch_knows_its_place() {
    let text = "(σ: \"ü\", kind: Edm(rho: 7.0))";
    let tree = read(text).unwrap();
    let at = |tree: &Tree| &text[tree.span.start as usize..tree.span.end as usize];
    assert_eq!(at(&tree), text);
    assert_eq!(at(tree.field("σ").unwrap()), "\"ü\"");
    assert_eq!(at(tree.field("kind").unwrap()), "Edm(rho: 7.0)");
    assert_eq!(at(tree.nearest("kind.rho")), "7.0");
    assert_eq!(at(tree.nearest("kind.other")), "Edm(rho: 7.0)");
}

#[test]
fn a_value_may_start_within_its_source() {
    let mut sources = Sources::default();
    let source = sources.add("--set", "steps=18");
    let tree = parse(&sources, source, 6).unwrap();
    assert_eq!((tree.to_string().as_str(), tree.span.start, tree.span.end), ("18", 6, 8));
}

#[test]
fn sixty_four_brackets_are_read_and_more_are_refused() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(64)).is_ok());
    assert!(read(&nested(65)).unwrap_err().contains("more than 64 brackets stand inside one another"));
    assert!(read(&"(".repeat(1_000_000)).unwrap_err().contains("more than 64 brackets"));
    let many = format!("[{}]", "[],".repeat(1000));
    assert!(read(&many).is_ok(), "side by side they do not count");
}

#[test]
fn broken_ron_is_shown_in_place() {
    let broken = [
        "",
        "(a: 1",
        "(a: [1, 2)",
        "{\"a\" 1}",
        "{\"a\": }",
        "(a: 1 b: 2)",
        "(a: 1, 2)",
        "(1, a: 2)",
        "[1,,2]",
        "1 2",
        "\"never\nclosed",
        r#""bad \q escape""#,
        r#""bad \u{110000} escape""#,
        "r#\"never closed\"",
        "'ab'",
        "''",
        "'",
        "1.2.3",
        "0x",
        "-",
        "12ab",
        "/* open /* twice */",
        "(a: 1, a: 2)",
        "{\"a\": 1, \"a\": 2}",
        "@",
        "a.b",
        "(a: b\"bytes\")",
        "ü€",
    ];
    let reports = broken.map(|text| format!("{text:?}\n{}", read(text).expect_err(text)));
    insta::assert_snapshot!(reports.join("\n\n"));
}

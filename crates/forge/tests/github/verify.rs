//! Whose a delivery is, and whether it can be read at all.

use forge::{Secret, github};

use crate::SECRET;
use crate::delivery::{Delivery, payload, push};

#[test]
fn a_payload_may_come_as_a_form() {
    let json = std::str::from_utf8(payload!("push_branch")).unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", json)
        .finish();
    let form = Delivery::of("push", body.as_bytes())
        .header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.trigger(), push().trigger());

    let other =
        Delivery::of("push", b"load=x").header("content-type", "application/x-www-form-urlencoded");
    let text = "the field `payload` is missing".to_owned();
    assert_eq!(other.refused(), (400, "missing_field", text));
}

#[test]
fn the_content_type_may_have_parameters_or_be_missing() {
    let with_charset = push().header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(with_charset.trigger(), push().trigger());
    assert_eq!(push().without("content-type").trigger(), push().trigger());
    let xml = push().header("content-type", "text/xml");
    let text = "the header `Content-Type` is not valid: it must be application/json or \
                application/x-www-form-urlencoded";
    assert_eq!(xml.refused(), (400, "invalid_header", text.to_owned()));
}

#[test]
fn only_our_secrets_signature_will_do() {
    let wrong = "the signature in `X-Hub-Signature-256` does not match the body: check that the \
                 webhook's secret on the forge is the one that Popsicle has";
    let prefix = "the header `X-Hub-Signature-256` is not a signature: it does not start with \
                  `sha256=`";
    let digits = "the header `X-Hub-Signature-256` is not a signature: it does not have 64 \
                  hexadecimal digits after `sha256=`";
    let sign = |secret: &str| github::sign(&Secret::new(secret), payload!("push_branch"));
    let right = sign(SECRET);
    for (signature, code, text) in [
        (sign("another secret"), "wrong_signature", wrong),
        (
            format!("sha256={}", "0".repeat(64)),
            "wrong_signature",
            wrong,
        ),
        (String::new(), "malformed_signature", prefix),
        (
            right.replace("sha256=", "sha1="),
            "malformed_signature",
            prefix,
        ),
        ("sha256=".to_owned(), "malformed_signature", digits),
        (right[..69].to_owned(), "malformed_signature", digits),
        (format!("{right}00"), "malformed_signature", digits),
        (
            format!("sha256={}", "x".repeat(64)),
            "malformed_signature",
            digits,
        ),
        (
            format!("sha256={}", "ü".repeat(32)),
            "malformed_signature",
            digits,
        ),
    ] {
        let delivery = push().header("x-hub-signature-256", &signature);
        assert_eq!(
            delivery.refused(),
            (401, code, text.to_owned()),
            "{signature}"
        );
    }
    let upper = right.to_uppercase().replace("SHA256=", "sha256=");
    push().header("x-hub-signature-256", &upper).trigger();
}

#[test]
fn a_changed_body_is_not_what_was_signed() {
    let mut delivery = push();
    delivery.body.push(b' ');
    assert_eq!(delivery.refused().1, "wrong_signature");
}

#[test]
fn no_signature_is_no_proof() {
    let unsigned = push().without("x-hub-signature-256");
    let text = "the header `X-Hub-Signature-256` is missing: set the webhook's secret on the forge \
                to the one that Popsicle has";
    assert_eq!(
        unsigned.refused(),
        (401, "missing_signature", text.to_owned())
    );
    let sha1 = unsigned.header(
        "x-hub-signature",
        "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6",
    );
    let text = "only the SHA-1 signature `X-Hub-Signature` is there, and SHA-1 is not accepted: \
                send `X-Hub-Signature-256`";
    assert_eq!(sha1.refused(), (401, "weak_signature", text.to_owned()));
}

#[test]
fn nothing_is_read_before_the_signature_is_checked() {
    let mut delivery = Delivery::of("push", b"{}").without("x-github-event");
    delivery.body = b"not JSON".to_vec();
    assert_eq!(delivery.refused().0, 401);
}

#[test]
fn headers_must_say_what_it_is() {
    let text = "the header `X-GitHub-Event` is missing".to_owned();
    assert_eq!(
        push().without("x-github-event").refused(),
        (400, "missing_header", text)
    );
    for name in ["x-github-event", "x-github-delivery"] {
        for value in ["", "ü", &"x".repeat(201)] {
            let (status, code, text) = push().header(name, value).refused();
            assert_eq!((status, code), (400, "invalid_header"), "{name}: {value}");
            assert!(text.ends_with("it must have 1 to 200 ASCII characters"));
        }
    }
}

#[test]
fn a_body_must_be_json_whatever_the_event() {
    for event in ["push", "pull_request", "check_run", "ping", "issues"] {
        for body in ["", "nonsense", "[]", "{", "{\"a\": }", "\u{0}"] {
            let (status, code, text) = Delivery::of(event, body.as_bytes()).refused();
            assert_eq!((status, code), (400, "malformed_json"), "{event}: {body}");
            assert!(text.starts_with("the body is not valid JSON: "), "{text}");
        }
    }
    let deep = "[".repeat(1_000_000);
    assert_eq!(Delivery::of("push", deep.as_bytes()).refused().0, 400);
    assert_eq!(Delivery::of("issues", deep.as_bytes()).refused().0, 400);
    assert_eq!(Delivery::of("push", b"\xff\xfe").refused().0, 400);
}

#[test]
fn a_payload_that_was_cut_is_no_payload() {
    let whole = payload!("pull_request_opened");
    let end = whole.trim_ascii_end().len();
    for length in (0..end).step_by(97).chain([end - 1]) {
        let cut = Delivery::of("pull_request", &whole[..length]);
        assert_eq!(cut.refused().0, 400, "{length} bytes of {end}");
    }
}

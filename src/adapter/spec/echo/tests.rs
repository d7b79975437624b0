use super::*;

fn sent(body: &str) -> Request {
    Request {
        method: "POST".into(),
        url: "https://a.example/p/4711".into(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

fn said(text: &str, body: &str) -> String {
    Echo::of(&sent(body)).hide(text)
}

#[test]
fn values_are_taken_out_and_names_stay() {
    let body = "{\"name\":\"García\",\"ssn\": \"123-45-6789\",\"city\":\"x\"}";
    assert_eq!(
        said("name GARCÍA, ssn 123-45-6789, key 4711: x too short", body),
        "name ***, ssn ***, key ***: x too short"
    );
    assert_eq!(said("<given> is Ada", "<a:given>Ada</a:given>"), "<given> is ***");
    assert_eq!(said("site Elm Hill", "adds=%5B%7B%22site%22%3A%22Elm+Hill%22%7D%5D"), "site ***");
    assert_eq!(said("PID-3 missing for Smith", "MSH|^~\\&|A\rPID|1||77^^^OF042^MR||Smith^A"), "PID-3 missing for ***");
    assert_eq!(said("Ada missing", "note\rAda|x"), "*** missing", "only a message has segments");
}

#[test]
fn a_value_in_another_form_is_taken_out_too() {
    let body = "{\"name\":\"María Canaryson\",\"ssn\":\"123-45-6789\",\"born\":\"1980-02-29\"}";
    for form in [
        "123456789",
        "123 45 6789",
        "123.45.6789",
        "6789",
        "MaríaCanaryson",
        "CANARYSON,MARÍA",
        "Maria",
        "Mar%C3%ADa%20Canaryson",
        "Mar\\u00eda",
        "Mar&#237;a",
        "Mar&#xED;a",
        "TWFyw61hIENhbmFyeXNvbg==",
        "c3NuOjEyMy00NS02Nzg5",
        "Canarys",
        "xCanarysonx",
        "29.02.1980",
        "19800229",
    ] {
        let said = said(&format!("the person ({form}) is on file"), body);
        let left = said.strip_prefix("the person (").and_then(|rest| rest.strip_suffix(") is on file"));
        assert!(left.is_some_and(|left| left.contains("***") && !left.contains(char::is_alphanumeric)), "{said}");
    }
    assert_eq!(said("ORA-00942: no table VISITS at 12:30", body), "ORA-00942: no table VISITS at 12:30");
    // Digits that the target puts together itself say the same.
    assert_eq!(said("SSN 123-45-6789", "{\"ssn\":\"123456789\"}"), "SSN ***");
}

#[test]
fn a_code_that_is_a_value_is_one() {
    let request = sent("{\"name\":\"María Canaryson\",\"ssn\":\"123-45-6789\",\"code\":\"AE\",\"kind\":207}");
    let echo = Echo::of(&request);
    for code in ["123456789", "123-45-6789", "Canaryson", "maríacanaryson", "TWFyw61hIENhbmFyeXNvbg"] {
        assert!(echo.holds(code), "{code}");
    }
    for code in ["SY/530", "AE", "207", "UNABLE_TO_LOCK_ROW", "INVALID_FIELD", "E-17"] {
        assert!(!echo.holds(code), "{code}");
    }
}

#[test]
fn a_secret_that_comes_back_is_taken_out() {
    crate::adapter::secret::remember("B34rer-Echo-Canary");
    let echo = sent("{}");
    let echo = Echo::of(&echo);
    assert_eq!(echo.hide("token B34rer-Echo-Canary has expired"), "token *** has expired");
    assert!(echo.holds("B34rer-Echo-Canary"));
}

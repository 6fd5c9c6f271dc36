//! What the shop does, whatever framework it is written in, asked over HTTP of the real process. Each
//! program runs all of it: `acceptance::suite!(env!("CARGO_BIN_EXE_…"))` is its whole test file.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a panic in a test is a failed test"
)]

mod browser;
pub mod deletion;
mod scene;
pub mod sign_in;

pub use browser::{Answer, Browser};
pub use scene::Scene;

/// Makes a test of each case for a program, each with a server of its own.
#[macro_export]
macro_rules! suite {
    ($program:expr) => {
        $crate::sign_in_suite!($program);
        $crate::cases!($program, deletion: [
            an_account_is_deleted_once_and_only_if_confirmed,
            five_wrong_codes_end_a_confirmation,
        ]);
    };
}

/// Makes a test of each case of signing in and stepping up.
#[macro_export]
macro_rules! sign_in_suite {
    ($program:expr) => {
        $crate::cases!($program, sign_in: [
            the_password_alone_is_enough_before_an_enrolment,
            an_enrolment_takes_the_password_and_a_code,
            an_enrolment_ends_the_other_sessions,
            a_sign_in_under_way_does_not_outlive_an_enrolment,
            then_a_sign_in_needs_a_code,
            a_right_code_ends_the_half_session,
            a_planted_session_does_not_become_the_victims,
            one_code_opens_one_session,
            a_recovery_code_opens_one_session,
            a_step_up_is_demanded_and_a_code_makes_one_key,
            strangers_wait_and_the_known_device_does_not,
            a_store_that_fails_lets_nobody_in,
            bad_input_is_refused,
            what_a_form_can_send_is_refused,
            a_taken_name_leaves_nothing,
            the_cookie_of_the_device_stays,
            a_device_cookie_that_no_server_drew_is_replaced,
        ]);

        #[test]
        fn a_server_without_a_free_file_goes_on() {
            $crate::sign_in::a_server_without_a_free_file_goes_on(&$crate::Scene::with_few_files($program));
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! cases {
    ($program:expr, $module:ident: [$($case:ident,)*]) => {
        $(
            #[test]
            fn $case() {
                $crate::$module::$case(&$crate::Scene::start($program));
            }
        )*
    };
}

//! Changes of the secret, admissions, and reported denials.

use super::model::tag;
use super::tests::{
    DAY, FIRST, PHONE, RECOVERY, SECRET, STRANGER, YEAR, at, by, credential, know_five, open, policy, refused, right,
    siege, wrong,
};
use super::*;

const SECOND: Generation = Generation::from_u64(2);
const TICKET: [u8; 16] = [5; 16];

fn known(ledger: &GuessLedger, generation: Generation, client: Client) -> bool {
    ledger.is_known(&policy(), &Attempt::new(SECRET, generation, client))
}

fn admit_client(ledger: &mut GuessLedger, client: Client, now: u64) -> ClientAdmission {
    ledger.admit_client(&policy(), SECRET, FIRST, client.tag().unwrap(), at(now))
}

#[test]
fn an_entry_of_another_generation_reads_as_empty_and_is_replaced_by_the_first_write() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    siege(&mut ledger, STRANGER, 50, 0);
    let before = ledger.clone();
    let next = Attempt::new(SECRET, SECOND, STRANGER);
    let Admission::Open(admitted) = ledger.admit(&policy(), &next, at(0)) else { panic!("shut by the old secret") };
    assert!(!known(&ledger, SECOND, PHONE) && known(&ledger, FIRST, PHONE));
    assert!(!ledger.unlock(&policy(), SECRET, SECOND, at(0)));
    assert_eq!(ledger, before, "asking changes nothing");
    assert_eq!(ledger.charge(&policy(), &admitted, at(0)).streak(), 1);
    assert!(!known(&ledger, FIRST, PHONE));
    assert_eq!(ledger.peek(&policy(), &by(STRANGER), at(0)), None);
}

#[test]
fn known_clients_stay_known_across_a_change_with_nothing_against_them() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    let now = siege(&mut ledger, PHONE, 10, 0);
    siege(&mut ledger, STRANGER, 50, 0);
    ledger.renew(&policy(), SECRET, FIRST, SECOND, &[tag(1), tag(2)], at(now));
    assert!([PHONE, credential(1), Client::network(tag(2))].into_iter().all(|client| known(&ledger, SECOND, client)));
    for client in [PHONE, STRANGER] {
        let attempt = Attempt::new(SECRET, SECOND, client);
        for streak in 1..=5 {
            let Admission::Open(admitted) = ledger.admit(&policy(), &attempt, at(now)) else { panic!("held up") };
            assert_eq!(ledger.charge(&policy(), &admitted, at(now)).streak(), streak);
        }
    }
    // The same change once more does not clear what was counted since.
    let before = ledger.clone();
    ledger.renew(&policy(), SECRET, FIRST, SECOND, &[], at(now));
    assert_eq!(ledger, before);
    // Nothing comes from an entry of another generation than the one that is left.
    ledger.renew(&policy(), SECRET, FIRST, Generation::from_u64(3), &[tag(1)], at(now));
    assert!(known(&ledger, Generation::from_u64(3), credential(1)));
    assert!(!known(&ledger, Generation::from_u64(3), PHONE));
}

#[test]
fn who_made_the_change_is_known_even_if_five_are() {
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    ledger.renew(&policy(), SECRET, FIRST, SECOND, &[tag(8), tag(9)], at(0));
    let names: Vec<u8> = (0..10).filter(|name| known(&ledger, SECOND, credential(*name))).collect();
    assert_eq!(names, [2, 3, 4, 8, 9]);
}

#[test]
fn a_secret_of_the_host_keeps_its_generation_and_loses_its_failures() {
    let mut ledger = GuessLedger::default();
    let attempt = |client| Attempt::new(SECRET, Generation::HOST, client);
    let judge = |ledger: &mut GuessLedger, client| match ledger.admit(&policy(), &attempt(client), at(0)) {
        Admission::Open(admitted) => admitted,
        Admission::Refused(refusal) => panic!("{refusal:?}"),
    };
    let admitted = judge(&mut ledger, PHONE);
    ledger.forgive(&policy(), &admitted, at(0));
    for _ in 0..5 {
        let admitted = judge(&mut ledger, STRANGER);
        ledger.charge(&policy(), &admitted, at(0));
    }
    let admitted = judge(&mut ledger, PHONE);
    let pending = ledger.begin(&policy(), &admitted, [1; 8], at(0));
    ledger.renew(&policy(), SECRET, Generation::HOST, Generation::HOST, &[], at(0));
    judge(&mut ledger, STRANGER);
    assert!(judge(&mut ledger, PHONE).is_known());
    // A verdict on the old secret does not count.
    assert!(!ledger.clone().settle_right(&policy(), &pending, at(0)));
    assert_eq!(ledger.settle_wrong(&policy(), &pending, at(0)), None);
}

#[test]
fn a_secret_that_is_gone_leaves_nothing() {
    let mut ledger = GuessLedger::default();
    siege(&mut ledger, STRANGER, 50, 0);
    assert!(ledger.forget(SECRET) && !ledger.forget(SECRET));
    assert_eq!(ledger, GuessLedger::default());
}

#[test]
fn an_admission_is_ten_tries_within_an_hour() {
    let mut ledger = GuessLedger::default();
    let now = siege(&mut ledger, STRANGER, 50, 0);
    let home = Client::network(tag(20));
    assert_eq!(admit_client(&mut ledger, home, now), ClientAdmission::Admitted { until: at(now + 3600) });
    assert!(refused(&mut ledger, STRANGER, at(now)).is_locked(), "only the one that is named");
    let shut = ledger.clone();
    for tries in 1..=10 {
        let client = if tries % 2 == 0 { home } else { credential(21).on_network(tag(20)) };
        let charge = wrong(&mut ledger, client, at(now));
        assert_eq!((charge.streak(), charge.admitted().is_admitted()), (tries, true));
        // No wait, and no level either.
        assert_eq!(charge.next().is_some(), tries == 10);
    }
    assert_eq!(ledger.entry(SECRET, FIRST).unwrap().unknown, shut.entry(SECRET, FIRST).unwrap().unknown);
    assert!(refused(&mut ledger, home, at(now)).is_locked());
    // After an hour it is over, used or not.
    let mut ledger = shut;
    open(&mut ledger, home, at(now + 3599));
    refused(&mut ledger, home, at(now + 3600));
    // A right guess makes the client known: no admission does before.
    assert!(!ledger.is_known(&policy(), &by(home)));
    right(&mut ledger, home, at(now));
    assert!(ledger.is_known(&policy(), &by(home)));
    let admitted = open(&mut ledger, home, at(now + 3600));
    assert!(admitted.is_known() && !admitted.is_admitted());
}

#[test]
fn tries_that_are_used_up_refuse_an_unknown_client_until_the_hour_is_over() {
    let mut ledger = GuessLedger::default();
    let _ = admit_client(&mut ledger, STRANGER, 0);
    for _ in 0..10 {
        wrong(&mut ledger, STRANGER, at(0));
    }
    // The unknown clients are open, but this one has had its tries.
    open(&mut ledger, Client::unknown(), at(0));
    assert_eq!(refused(&mut ledger, STRANGER, at(0)).retry_after(), 3600);
    assert!(!open(&mut ledger, STRANGER, at(3600)).is_admitted());
    // A wait of the unknown clients that lasts longer is what it meets then.
    let now = siege(&mut ledger, Client::unknown(), 11, 0);
    assert_eq!((now, refused(&mut ledger, STRANGER, at(now)).retry_after()), (1890, 1920));
    // An unlock admits it.
    assert!(ledger.unlock(&policy(), SECRET, FIRST, at(now)));
    open(&mut ledger, STRANGER, at(now));
}

#[test]
fn an_admission_lets_in_a_known_client_that_is_full_and_holds_up_none() {
    let mut ledger = GuessLedger::default();
    let phone = PHONE.on_network(tag(20));
    right(&mut ledger, phone, at(0));
    let now = siege(&mut ledger, phone, 10, 0);
    assert!(refused(&mut ledger, phone, at(now)).is_locked());
    let _ = admit_client(&mut ledger, PHONE, now);
    let admitted = open(&mut ledger, phone, at(now));
    assert!(admitted.is_known() && admitted.is_admitted());
    // It is right: its streak ends, its level stays.
    right(&mut ledger, phone, at(now));
    assert!(!refused(&mut ledger, phone, at(now + 3600)).is_locked());

    // Others use up the admission of the network that a known client is on.
    let mut ledger = GuessLedger::default();
    right(&mut ledger, phone, at(0));
    let _ = admit_client(&mut ledger, Client::network(tag(20)), 0);
    for _ in 0..10 {
        wrong(&mut ledger, Client::network(tag(20)), at(0));
    }
    assert!(!open(&mut ledger, phone, at(0)).is_admitted());
}

#[test]
fn three_admissions_a_day_and_account() {
    let mut ledger = GuessLedger::default();
    let totp = SecretKind::new("totp");
    let mut admit = |secret, name, now| ledger.admit_client(&policy(), secret, FIRST, tag(name), at(now));
    for (secret, name, now) in [(SECRET, 1, 0), (totp, 2, 7200), (SECRET, 3, DAY - 1)] {
        assert_eq!(admit(secret, name, now), ClientAdmission::Admitted { until: at(now + 3600) });
    }
    assert_eq!(admit(SECRET, 4, DAY - 1), ClientAdmission::TooMany { retry_after: 1 });
    assert_eq!(admit(SECRET, 1, DAY), ClientAdmission::Admitted { until: at(DAY + 3600) });
    // In any 24 hours, not by calendar days.
    assert_eq!(admit(SECRET, 1, DAY), ClientAdmission::TooMany { retry_after: 7200 });
    // A clock that goes back does not hold them up for longer than a day.
    assert_eq!(admit(totp, 1, 0), ClientAdmission::TooMany { retry_after: DAY });
    assert_eq!(admit(totp, 1, DAY), ClientAdmission::Admitted { until: at(DAY + 3600) });
    // One that has ended does not come back and take the place of a new one.
    let mut ledger = GuessLedger::default();
    let mut admit = |secret, name, now| ledger.admit_client(&policy(), secret, FIRST, tag(name), at(now));
    for (secret, name, now) in
        [(SECRET, 1, DAY), (SECRET, 2, DAY), (SECRET, 3, DAY), (totp, 4, 2 * DAY), (SECRET, 5, 0)]
    {
        assert_eq!(admit(secret, name, now), ClientAdmission::Admitted { until: at(now + 3600) });
    }
    let mut none = GuessLedger::default();
    let policy = LedgerPolicy::builder().admissions_per_day(0).build().unwrap();
    let answer = none.admit_client(&policy, SECRET, FIRST, tag(1), at(0));
    assert_eq!(answer, ClientAdmission::TooMany { retry_after: DAY });
}

#[test]
fn an_unlock_clears_what_holds_up_and_keeps_who_is_known() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    assert!(!ledger.unlock(&policy(), SECRET, FIRST, at(0)), "nothing to clear");
    let now = siege(&mut ledger, STRANGER, 50, 0);
    siege(&mut ledger, PHONE, 10, 0);
    assert!(ledger.unlock(&policy(), SECRET, FIRST, at(now)));
    assert_eq!(wrong(&mut ledger, STRANGER, at(now)).streak(), 1);
    let charge = wrong(&mut ledger, PHONE, at(now));
    assert!(charge.admitted().is_known() && charge.streak() == 1);
    assert!(!ledger.unlock(&policy(), RECOVERY, FIRST, at(now)));
}

/// What a flood costs the owner: nothing on a known client; on a new one, at any time, at most one
/// mail and one click.
#[test]
fn a_flood_of_years_costs_the_owner_at_most_a_mail_and_a_click() {
    let mut ledger = GuessLedger::default();
    right(&mut ledger, PHONE, at(0));
    let (mut mails, mut clicked) = (0, 0_u64);
    for hour in 0..24 * 365 {
        let now = at(hour * 3600);
        // Somebody guesses whenever a guess is checked, and a mail is sent when one is due.
        match ledger.admit(&policy(), &by(STRANGER), now) {
            Admission::Open(admitted) => {
                ledger.charge(&policy(), &admitted, now);
            }
            Admission::Refused(refusal) if ledger.unlock_mail_due(&policy(), &by(STRANGER), &refusal, now) => {
                ledger.unlock_mail_sent(&policy(), &by(STRANGER), TICKET, now);
                mails += 1;
            }
            Admission::Refused(_) => {}
        }
        assert!(open(&mut ledger, PHONE, now).is_known());
        // The owner comes with a new device every 37 days.
        if hour % (37 * 24) == 500 {
            clicked += 1;
            let device = Client::network(tag(100 + u8::try_from(clicked).unwrap()));
            if ledger.peek(&policy(), &by(device), now).is_some() {
                assert!(ledger.unlock_mail_clicked(&policy(), SECRET, FIRST, TICKET, now), "no link at hour {hour}");
                let answer = ledger.admit_client(&policy(), SECRET, FIRST, device.tag().unwrap(), now);
                assert!(matches!(answer, ClientAdmission::Admitted { .. }));
            }
            right(&mut ledger, device, now);
            right(&mut ledger, PHONE, now);
        }
    }
    assert!((20..70).contains(&mails), "{mails} mails");
}

#[test]
fn a_mail_is_due_after_fifteen_minutes_and_then_ever_more_seldom() {
    let mut ledger = GuessLedger::default();
    let due = |ledger: &mut GuessLedger, attempt: Attempt, now| match ledger.admit(&policy(), &attempt, at(now)) {
        Admission::Refused(refusal) => ledger.unlock_mail_due(&policy(), &attempt, &refusal, at(now)),
        Admission::Open(_) => panic!("not refused"),
    };
    let now = siege(&mut ledger, STRANGER, 9, 0);
    assert!(!due(&mut ledger, by(STRANGER), now), "eight minutes");
    let now = siege(&mut ledger, STRANGER, 1, now);
    assert!(due(&mut ledger, by(STRANGER), now + 59) && !due(&mut ledger, by(STRANGER), now + 60));
    let facts = ledger.lockout_summary(&by(STRANGER)).unwrap();
    assert_eq!((facts.wrong_guesses, facts.since), (10, at(0)));
    assert_eq!(ledger.lockout_summary(&Attempt::new(SECRET, SECOND, STRANGER)), None);
    // Never for a factor, nor for a secret that never locks anybody out.
    for kind in [SECRET.without_mail(), SECRET.unguessable()] {
        assert!(!due(&mut ledger, Attempt { secret: kind, ..by(STRANGER) }, now));
    }
    let mut now = siege(&mut ledger, STRANGER, 40, now);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert!(due(&mut ledger, by(STRANGER), now));
        ledger.unlock_mail_sent(&policy(), &by(STRANGER), TICKET, at(now));
        let pause = (0..40).find(|days| due(&mut ledger, by(STRANGER), now + days * DAY)).unwrap();
        assert!(!due(&mut ledger, by(STRANGER), now + pause * DAY - 1));
        pauses.push(pause);
        now += pause * DAY;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    // A clock that goes back does not silence the mails.
    assert!(!due(&mut ledger, by(STRANGER), now - 100 * DAY));
    assert!(due(&mut ledger, by(STRANGER), now - 70 * DAY));
    // A known client whose place others have filled gets one as well.
    let mut ledger = GuessLedger::default();
    right(&mut ledger, STRANGER, at(0));
    let now = siege(&mut ledger, STRANGER, 10, 0);
    assert!(due(&mut ledger, by(STRANGER), now));
}

#[test]
fn a_link_works_three_times_until_the_next_mail_may_go() {
    let mut ledger = GuessLedger::default();
    siege(&mut ledger, STRANGER, 10, 0);
    let click =
        |ledger: &mut GuessLedger, ticket, now| ledger.unlock_mail_clicked(&policy(), SECRET, FIRST, ticket, at(now));
    assert!(!click(&mut ledger, TICKET, 0), "no mail has gone");
    ledger.unlock_mail_sent(&policy(), &by(STRANGER), TICKET, at(0));
    let sent = ledger.clone();
    assert!(!click(&mut ledger, [6; 16], 0));
    assert!(!ledger.unlock_mail_clicked(&policy(), SECRET, SECOND, TICKET, at(0)));
    assert_eq!(ledger, sent, "a wrong link changes nothing");
    assert!(click(&mut sent.clone(), TICKET, DAY - 1) && !click(&mut sent.clone(), TICKET, DAY));
    assert_eq!([0; 4].map(|now| click(&mut ledger, TICKET, now)), [true, true, true, false]);
    // Nobody clicks on the second and third: the fourth may go after four days, but a day after a
    // click.
    let mut ledger = sent;
    for now in [DAY, 3 * DAY] {
        ledger.unlock_mail_sent(&policy(), &by(STRANGER), TICKET, at(now));
    }
    assert!(click(&mut ledger.clone(), TICKET, 7 * DAY - 1));
    assert!(click(&mut ledger, TICKET, 4 * DAY) && !click(&mut ledger, TICKET, 5 * DAY));
    // And the pauses start over.
    ledger.unlock_mail_sent(&policy(), &by(STRANGER), TICKET, at(5 * DAY));
    assert!(!click(&mut ledger, TICKET, 6 * DAY));
    // A mail that is sent again ends the link before.
    ledger.unlock_mail_sent(&policy(), &by(STRANGER), [8; 16], at(6 * DAY));
    assert!(!click(&mut ledger, TICKET, 6 * DAY) && click(&mut ledger, [8; 16], 6 * DAY));
    assert!(!format!("{ledger:?}").contains("8, 8, 8"), "a ticket is not shown");
}

#[test]
fn denials_are_told_once_an_hour() {
    let mut ledger = GuessLedger::default();
    assert_eq!(ledger.report_denial(SECRET, DenialKind::Wrong, at(0)), DenialReport::Now { earlier: 0 });
    assert_eq!(
        ledger.report_denial(SECRET, DenialKind::Replayed, at(0)),
        DenialReport::Now { earlier: 0 },
        "each kind"
    );
    assert_eq!(
        ledger.report_denial(RECOVERY, DenialKind::Wrong, at(0)),
        DenialReport::Now { earlier: 0 },
        "each secret"
    );
    for now in [0, 1, 3599] {
        assert_eq!(ledger.report_denial(SECRET, DenialKind::Wrong, at(now)), DenialReport::Counted);
    }
    // A change of the secret does not lose them, nor is it held up by them.
    ledger.renew(&policy(), SECRET, FIRST, SECOND, &[], at(0));
    assert_eq!(ledger.take_unreported(at(3599)), []);
    let mut other = ledger.clone();
    assert_eq!(ledger.report_denial(SECRET, DenialKind::Wrong, at(3600)), DenialReport::Now { earlier: 3 });
    assert_eq!(ledger.report_denial(SECRET, DenialKind::Wrong, at(3601)), DenialReport::Counted);
    // With an event of another kind.
    let unreported = other.take_unreported(at(3600));
    assert_eq!(
        unreported
            .iter()
            .map(|unreported| (unreported.secret.as_str(), unreported.what, unreported.times))
            .collect::<Vec<_>>(),
        [("passphrase", DenialKind::Wrong, 3)]
    );
    assert_eq!(other.take_unreported(at(3600)), []);
    // After the clock went back, at most an hour of silence.
    assert_eq!(other.report_denial(RECOVERY, DenialKind::Wrong, at(YEAR)), DenialReport::Now { earlier: 0 });
    assert_eq!(other.report_denial(RECOVERY, DenialKind::Wrong, at(10)), DenialReport::Counted);
    assert_eq!(other.report_denial(RECOVERY, DenialKind::Wrong, at(3610)), DenialReport::Now { earlier: 1 });
    // It is no guess.
    assert_eq!(ledger.peek(&policy(), &Attempt::new(RECOVERY, FIRST, STRANGER), at(0)), None);
}

#[test]
fn a_right_guess_makes_every_tag_of_its_client_known() {
    let mut ledger = GuessLedger::default();
    let log_in = Client::network(tag(1)).introducing(tag(2), None);
    assert_eq!((log_in.tag(), log_in.known_tags().collect::<Vec<_>>()), (Some(tag(1)), vec![tag(2), tag(1)]));
    assert_eq!(Client::network(tag(1)).introducing(tag(1), None).known_tags().count(), 1);
    // A wrong one counts for the tag that names the client, and introduces nobody.
    siege(&mut ledger, log_in, 1, 0);
    assert!(!known(&ledger, FIRST, credential(1)) && !known(&ledger, FIRST, credential(2)));
    right(&mut ledger, log_in, at(0));
    assert!(known(&ledger, FIRST, credential(1)) && known(&ledger, FIRST, credential(2)));
    let now = siege(&mut ledger, credential(1), 10, 0);
    assert!(refused(&mut ledger, credential(1), at(now)).is_locked());
    open(&mut ledger, credential(2), at(now));
    // Both places are counted, and the introduced one is the first to be left.
    let mut ledger = GuessLedger::default();
    know_five(&mut ledger);
    right(&mut ledger, credential(8).introducing(tag(9), None), at(0));
    let names: Vec<u8> = (0..10).filter(|name| known(&ledger, FIRST, credential(*name))).collect();
    assert_eq!(names, [2, 3, 4, 8, 9]);
    // One after the other from one place: each takes the place of the one before it, and what was
    // counted there.
    for name in 10..20 {
        right(&mut ledger, credential(8).introducing(tag(name), Some(tag(name - 1))), at(0));
    }
    let names: Vec<u8> = (0..20).filter(|name| known(&ledger, FIRST, credential(*name))).collect();
    assert_eq!(names, [2, 3, 4, 8, 19]);
    let now = siege(&mut ledger, credential(19), 10, 0);
    right(&mut ledger, credential(8).introducing(tag(20), Some(tag(19))), at(now));
    let now = siege(&mut ledger, credential(20), 1, now);
    assert!(refused(&mut ledger, credential(20), at(now)).retry_after() > 3_600);
}

#[test]
fn a_client_that_is_renamed_keeps_all_that_is_known_of_it() {
    let mut ledger = GuessLedger::default();
    let rename = |ledger: &mut GuessLedger, from: u8, to: u8, now: u64| {
        ledger.rename_client(&policy(), &by(credential(from)), tag(to), at(now))
    };
    assert!(!rename(&mut ledger, 1, 2, 0), "nobody is known");
    right(&mut ledger, credential(1), at(0));
    let now = siege(&mut ledger, STRANGER, 50, 0);
    let now = siege(&mut ledger, credential(1), 9, now) + 3_600;
    let admitted = open(&mut ledger, credential(1), at(now));
    let pending = ledger.begin(&policy(), &admitted, [1; 8], at(now));
    let own = |ledger: &GuessLedger, name| ledger.own_place(&policy(), &by(credential(name)), at(now));
    assert_eq!((own(&ledger, 1), own(&ledger, 2)), (Some(tag(1)), None));
    assert!(rename(&mut ledger, 1, 2, now) && !rename(&mut ledger, 1, 2, now));
    assert_eq!((own(&ledger, 1), own(&ledger, 2)), (None, Some(tag(2))));
    // The old name now belongs to an unknown client. The guess that was in flight counts for the
    // new name, which is at its limit now.
    assert!(refused(&mut ledger, credential(1), at(now)).is_locked());
    assert!(ledger.settle_wrong(&policy(), &pending, at(now)).is_some());
    assert!(ledger.peek(&policy(), &by(credential(2)), at(now + 3_600)).is_some());
    // A name that is taken is not given away, and an admission goes along.
    assert!(matches!(admit_client(&mut ledger, credential(3), now), ClientAdmission::Admitted { .. }));
    right(&mut ledger, credential(3), at(now));
    assert!(is_as_before(&mut ledger, |ledger| rename(ledger, 3, 2, now)));
    assert!(matches!(admit_client(&mut ledger, credential(4), now), ClientAdmission::Admitted { .. }));
    assert_eq!(own(&ledger, 4), Some(tag(4)));
    assert!(rename(&mut ledger, 4, 5, now));
    assert_eq!((own(&ledger, 4), own(&ledger, 5)), (None, Some(tag(5))));
}

/// Whether an act reports that there is nothing to store, and leaves the ledger as it was.
fn is_as_before(ledger: &mut GuessLedger, act: impl FnOnce(&mut GuessLedger) -> bool) -> bool {
    let before = ledger.clone();
    !act(ledger) && *ledger == before
}

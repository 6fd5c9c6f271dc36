//! Every text in both languages.

/// Declares the texts, each with its English and its German form.
macro_rules! texts {
    ($($name:ident: $english:literal, $german:literal;)+) => {
        /// A text of the pages. The documentation of each is its English form.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Text {
            $(#[doc = $english] $name,)+
        }

        impl Text {
            /// Every text.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }

        pub(super) const fn english(text: Text) -> &'static str {
            match text { $(Text::$name => $english,)+ }
        }

        pub(super) const fn german(text: Text) -> &'static str {
            match text { $(Text::$name => $german,)+ }
        }
    };
}

texts! {
    // The frame.
    Overview: "Account security", "Kontosicherheit";
    OverviewLead: "Decide how you sign in, and see what happened in your account.",
        "Legen Sie fest, wie Sie sich anmelden, und sehen Sie, was in Ihrem Konto geschehen ist.";
    SkipToContent: "Skip to content", "Zum Inhalt springen";
    SignOut: "Sign out", "Abmelden";
    SignedInAs: "Signed in as {}", "Angemeldet als {}";
    Back: "Back to account security", "Zurück zur Kontosicherheit";
    Cancel: "Cancel", "Abbrechen";
    Continue: "Continue", "Weiter";
    ErrorPrefix: "Error: {}", "Fehler: {}";
    NotFound: "This page does not exist", "Diese Seite gibt es nicht";
    NotFoundLead: "The address may be mistyped, or the page is no longer there.",
        "Vielleicht ist die Adresse falsch geschrieben, oder es gibt die Seite nicht mehr.";
    Failed: "Something went wrong", "Etwas ist schiefgegangen";
    FailedLead: "This was our fault, and it has been recorded. Check whether your change took effect before you try again.",
        "Das lag an uns und wurde aufgezeichnet. Prüfen Sie, ob Ihre Änderung wirksam wurde, bevor Sie es erneut versuchen.";
    Busy: "Please try again in {}", "Bitte versuchen Sie es in {} noch einmal";
    BusyLead: "The server is busy. Nothing was changed.", "Der Server ist ausgelastet. Es wurde nichts geändert.";
    Outdated: "This form is out of date", "Dieses Formular ist veraltet";
    OutdatedLead: "It was made for another session, or it was sent from another website. Nothing was changed. Open the page again.",
        "Es gehört zu einer anderen Sitzung oder wurde von einer anderen Website gesendet. Es wurde nichts geändert. Öffnen Sie die Seite noch einmal.";
    TooLarge: "The form is too large", "Das Formular ist zu groß";

    // Two-factor authentication on the overview.
    TwoFactor: "Two-factor authentication", "Zwei-Faktor-Authentisierung";
    TwoFactorOn: "Two-factor authentication is on", "Zwei-Faktor-Authentisierung ist eingeschaltet";
    TwoFactorOnLead: "Signing in takes your password and a code from your authenticator app.",
        "Zum Anmelden braucht es Ihr Passwort und einen Code aus Ihrer Authenticator-App.";
    TwoFactorOnByOther: "Signing in takes more than your password.", "Zum Anmelden genügt Ihr Passwort allein nicht.";
    TwoFactorOff: "Two-factor authentication is off", "Zwei-Faktor-Authentisierung ist ausgeschaltet";
    TwoFactorOffLead: "Anyone who learns your password can sign in. An authenticator app on your phone prevents that. It takes two minutes.",
        "Wer Ihr Passwort erfährt, kann sich anmelden. Eine Authenticator-App auf Ihrem Telefon verhindert das. Es dauert zwei Minuten.";
    SetUp: "Set up an authenticator app", "Authenticator-App einrichten";
    Authenticators: "Authenticator apps", "Authenticator-Apps";
    AuthenticatorsNone: "You have none yet. An app also works where your other factors do not.",
        "Sie haben noch keine. Eine App hilft auch dort, wo Ihre anderen Faktoren nicht gehen.";
    Factors: "Other factors", "Weitere Faktoren";
    MailedCodes: "Codes by e-mail", "Codes per E-Mail";
    MailedCodesLead: "A code is mailed to you when you sign in.", "Beim Anmelden wird Ihnen ein Code gemailt.";
    AddedOn: "Added on {}", "Hinzugefügt am {}";
    RefusedUntil: "Its codes are refused until {}, because the server's clock once ran ahead. Replace it to use it sooner.",
        "Ihre Codes werden bis {} abgelehnt, weil die Uhr des Servers einmal vorging. Ersetzen Sie sie, um sie früher zu nutzen.";
    AddAnother: "Add another app", "Weitere App hinzufügen";
    Replace: "Replace", "Ersetzen";
    ReplaceNamed: "Replace {}", "{} ersetzen";
    Remove: "Remove", "Entfernen";
    RemoveNamed: "Remove {}", "{} entfernen";

    // Enrolment.
    EnrolName: "Name of the device", "Name des Geräts";
    EnrolNameHint: "For example “Phone”. You will see it in your account.",
        "Zum Beispiel „Telefon“. Sie sehen ihn in Ihrem Konto.";
    EnrolDefaultName: "Phone", "Telefon";
    EnrolLead: "You need an app that shows codes, such as Aegis, 2FAS, Google Authenticator or a password manager.",
        "Sie brauchen eine App, die Codes anzeigt, etwa Aegis, 2FAS, Google Authenticator oder einen Passwortmanager.";
    EnrolReplaceLead: "The new app replaces “{}” as soon as its first code is correct. Until then, the old one works.",
        "Die neue App ersetzt „{}“, sobald ihr erster Code stimmt. Bis dahin gilt die alte.";
    ScanTitle: "Scan the code", "Code einscannen";
    ScanStep: "Scan this picture with your authenticator app.", "Scannen Sie dieses Bild mit Ihrer Authenticator-App.";
    QrLabel: "QR code with the key for your authenticator app", "QR-Code mit dem Schlüssel für Ihre Authenticator-App";
    KeyStep: "If you cannot scan it, enter this key in the app:",
        "Wenn Sie es nicht scannen können, geben Sie diesen Schlüssel in der App ein:";
    KeyDetails: "Time-based, {} digits, a new code every {} seconds", "Zeitbasiert, {} Stellen, alle {} Sekunden ein neuer Code";
    OpenInApp: "Open in the app on this device", "In der App auf diesem Gerät öffnen";
    CodeStep: "Enter the code that the app shows now.", "Geben Sie den Code ein, den die App jetzt zeigt.";
    CodeField: "Code from the app", "Code aus der App";
    TurnOn: "Turn on", "Einschalten";
    EnrolExpires: "This page is valid until {}.", "Diese Seite gilt bis {}.";
    StartOver: "Start over", "Von vorn beginnen";
    EnrolWrong: "This code is not correct. Wait for the next one and try again. If you opened this page more than once, only the newest key works.",
        "Dieser Code stimmt nicht. Warten Sie auf den nächsten und versuchen Sie es noch einmal. Falls Sie diese Seite mehrmals geöffnet haben, gilt nur der neueste Schlüssel.";
    EnrolClockAhead: "The clock of this device is {} seconds ahead. Set its time to automatic, then enter a new code.",
        "Die Uhr dieses Geräts geht {} Sekunden vor. Stellen Sie die Uhrzeit auf automatisch und geben Sie dann einen neuen Code ein.";
    EnrolClockBehind: "The clock of this device is {} seconds behind, or the code was entered late. Set its time to automatic, then enter a new code.",
        "Die Uhr dieses Geräts geht {} Sekunden nach, oder der Code kam zu spät. Stellen Sie die Uhrzeit auf automatisch und geben Sie dann einen neuen Code ein.";
    EnrolGone: "Nothing is waiting for this code", "Auf diesen Code wartet nichts";
    EnrolGoneLead: "The set-up has expired, was begun in another session, or had too many wrong codes. Nothing was changed. Start over.",
        "Die Einrichtung ist abgelaufen, wurde in einer anderen Sitzung begonnen oder hatte zu viele falsche Codes. Es wurde nichts geändert. Beginnen Sie von vorn.";
    EnrolTooMany: "Your account has as many authenticator apps as it may have. Replace or remove one.",
        "Ihr Konto hat so viele Authenticator-Apps, wie es haben darf. Ersetzen oder entfernen Sie eine.";
    EnrolBadName: "Enter a name of 1 to 64 characters.", "Geben Sie einen Namen mit 1 bis 64 Zeichen ein.";
    EnrolUnknown: "This authenticator app is no longer in your account.", "Diese Authenticator-App ist nicht mehr in Ihrem Konto.";
    CodeMalformed: "Enter the {} digits that the app shows.", "Geben Sie die {} Ziffern ein, die die App zeigt.";

    // Removing.
    RemoveLead: "Codes of “{}” will no longer be accepted.", "Codes von „{}“ werden nicht mehr angenommen.";
    RemoveFactorLead: "“{}” will no longer be accepted.", "„{}“ wird nicht mehr angenommen.";
    RemoveLast: "It is your last factor. Two-factor authentication will be off, and your recovery codes will be void.",
        "Es ist Ihr letzter Faktor. Die Zwei-Faktor-Authentisierung ist danach ausgeschaltet, und Ihre Wiederherstellungscodes sind ungültig.";
    RemoveLastBeforeMail: "After this, only codes by e-mail protect your account, and your recovery codes will be void.",
        "Danach schützen nur noch Codes per E-Mail Ihr Konto, und Ihre Wiederherstellungscodes sind ungültig.";

    // Recovery codes.
    Recovery: "Recovery codes", "Wiederherstellungscodes";
    RecoveryLead: "Each one signs you in once, when you do not have your phone.",
        "Jeder meldet Sie einmal an, wenn Sie Ihr Telefon nicht haben.";
    RecoveryLeft: "{} unused codes left", "{} unbenutzte Codes übrig";
    RecoveryOne: "1 unused code left", "1 unbenutzter Code übrig";
    RecoveryNone: "No unused codes", "Keine unbenutzten Codes";
    RecoveryNoneLead: "Without them, you cannot sign in if you lose your phone.",
        "Ohne sie können Sie sich nicht anmelden, wenn Sie Ihr Telefon verlieren.";
    RecoveryMake: "Make new codes", "Neue Codes erzeugen";
    RecoveryMakeLead: "You will see new codes. The old ones are void as soon as you confirm that you have kept the new ones.",
        "Sie sehen neue Codes. Die alten sind ungültig, sobald Sie bestätigen, dass Sie die neuen aufbewahrt haben.";
    RecoveryNeedsApp: "Set up an authenticator app first.", "Richten Sie zuerst eine Authenticator-App ein.";
    RecoveryKeep: "Keep your recovery codes", "Bewahren Sie Ihre Wiederherstellungscodes auf";
    RecoveryKeepLead: "You see them only now. Print them, or keep them in a password manager, but not only on your phone.",
        "Sie sehen sie nur jetzt. Drucken Sie sie aus oder bewahren Sie sie in einem Passwortmanager auf, aber nicht nur auf Ihrem Telefon.";
    RecoveryFirst: "“{}” is set up. Two-factor authentication is on.", "„{}“ ist eingerichtet. Die Zwei-Faktor-Authentisierung ist eingeschaltet.";
    RecoveryPending: "These codes do not work until you confirm below.", "Diese Codes gelten erst, wenn Sie unten bestätigen.";
    RecoveryKept: "I have kept these codes", "Ich habe diese Codes aufbewahrt";
    RecoveryGone: "These codes can no longer be confirmed", "Diese Codes können nicht mehr bestätigt werden";
    RecoveryGoneLead: "They have expired, were made in another session, or something else in your account has changed. Your old codes still work. Make new ones.",
        "Sie sind abgelaufen, wurden in einer anderen Sitzung erzeugt, oder in Ihrem Konto hat sich etwas geändert. Ihre alten Codes gelten weiter. Erzeugen Sie neue.";
    RecoveryFile: "Recovery codes for {}", "Wiederherstellungscodes für {}";
    Copy: "Copy", "Kopieren";
    Copied: "Copied", "Kopiert";
    Download: "Download", "Herunterladen";
    Print: "Print", "Drucken";

    // The proof that a form asks for.
    Proof: "Confirm that it is you", "Bestätigen Sie, dass Sie es sind";
    ProofCode: "Code from your authenticator app, or a recovery code", "Code aus Ihrer Authenticator-App oder ein Wiederherstellungscode";
    ProofRecovery: "Recovery code", "Wiederherstellungscode";
    ProofMailed: "Code from the e-mail", "Code aus der E-Mail";
    ProofMailedHint: "It was sent to {} and is valid until {}.", "Er wurde an {} gesendet und gilt bis {}.";
    ProofMailLead: "To confirm that it is you, we will send a code to {}.",
        "Um zu bestätigen, dass Sie es sind, senden wir einen Code an {}.";
    ProofMailSend: "Send the code", "Code senden";
    ProofMailAgain: "Send another code", "Anderen Code senden";
    ProofMailSent: "The code is on its way. It may take a minute.", "Der Code ist unterwegs. Es kann eine Minute dauern.";
    ProofMailNotNeeded: "No code by e-mail is asked for here.", "Hier wird kein Code per E-Mail verlangt.";
    ProofMailNotYet: "No code was sent, because there was one a short time ago or there were too many. You can ask again in {}.",
        "Es wurde kein Code gesendet, weil es vor Kurzem einen gab oder es zu viele waren. Sie können es in {} noch einmal versuchen.";
    ProofPassword: "Your password", "Ihr Passwort";
    ProofMissingCode: "Enter a code from your authenticator app.", "Geben Sie einen Code aus Ihrer Authenticator-App ein.";
    ProofMissingRecovery: "Enter a recovery code.", "Geben Sie einen Wiederherstellungscode ein.";
    ProofMissingMailed: "Enter the code from the e-mail.", "Geben Sie den Code aus der E-Mail ein.";
    ProofMissingPassword: "Enter your password.", "Geben Sie Ihr Passwort ein.";
    ProofMalformed: "This is not a code. Enter the digits that your app shows, or a whole recovery code.",
        "Das ist kein Code. Geben Sie die Ziffern aus Ihrer App oder einen ganzen Wiederherstellungscode ein.";
    ProofMalformedRecovery: "This is not a recovery code. Enter a whole one.",
        "Das ist kein Wiederherstellungscode. Geben Sie einen ganzen ein.";
    ProofWrongRecovery: "This code is wrong or was used before.", "Dieser Code ist falsch oder wurde schon benutzt.";
    ProofWrongMailed: "This code is wrong or no longer valid. If you asked for several, only the newest works.",
        "Dieser Code ist falsch oder gilt nicht mehr. Wenn Sie mehrere angefordert haben, gilt nur der neueste.";
    ProofWrongCode: "This code is wrong or was used before. Wait for the next one.", "Dieser Code ist falsch oder wurde schon benutzt. Warten Sie auf den nächsten.";
    ProofWrongPassword: "This password is wrong.", "Dieses Passwort ist falsch.";
    ProofWrongThenWait: "You can try again in {}.", "Sie können es in {} noch einmal versuchen.";
    ProofWait: "There were too many wrong attempts, so this one was not checked. You can try again in {}.",
        "Es gab zu viele falsche Versuche, deshalb wurde dieser nicht geprüft. Sie können es in {} noch einmal versuchen.";
    ProofLocked: "There were too many wrong attempts, so this one was not checked. Waiting does not help: sign in from a place where you have signed in before, use a recovery code, or ask the operator.",
        "Es gab zu viele falsche Versuche, deshalb wurde dieser nicht geprüft. Warten hilft nicht: Melden Sie sich von einem Ort aus an, an dem Sie schon angemeldet waren, benutzen Sie einen Wiederherstellungscode, oder fragen Sie den Betreiber.";
    ProofStale: "Your account changed in the meantime. Nothing was done. Try again.", "Ihr Konto hat sich inzwischen geändert. Es wurde nichts getan. Versuchen Sie es noch einmal.";
    ProofImpossible: "Your account has no factor with which this can be confirmed here.", "Ihr Konto hat keinen Faktor, mit dem dies hier bestätigt werden kann.";

    // Remembered browsers.
    Browsers: "Remembered browsers", "Gemerkte Browser";
    BrowsersLead: "They do not ask for a code. Forget those that you no longer use.", "Sie fragen nicht nach einem Code. Entfernen Sie, was Sie nicht mehr benutzen.";
    BrowserUsed: "Last used on {}, remembered until {}", "Zuletzt benutzt am {}, gemerkt bis {}";
    Forget: "Forget", "Vergessen";
    ForgetNamed: "Forget {}", "{} vergessen";
    ForgetAll: "Forget all browsers", "Alle Browser vergessen";
    Rename: "Rename", "Umbenennen";
    RenameNamed: "Rename {}", "{} umbenennen";

    // Sessions.
    Sessions: "Sessions", "Sitzungen";
    SessionsLead: "End every other session of your account, in browsers and in apps. This one stays.",
        "Beenden Sie jede andere Sitzung Ihres Kontos, in Browsern und in Apps. Diese bleibt bestehen.";
    SessionsEnd: "Sign out everywhere else", "Überall sonst abmelden";

    // A pending change of the address.
    Address: "Change of e-mail address", "Änderung der E-Mail-Adresse";
    AddressLead: "Your address will change to {}. If you did not ask for this, cancel it and change your password.",
        "Ihre Adresse wird in {} geändert. Wenn Sie das nicht veranlasst haben, brechen Sie es ab und ändern Sie Ihr Passwort.";
    AddressCancel: "Cancel the change", "Änderung abbrechen";

    // Confirming.
    Actions: "Permanent actions", "Endgültige Vorgänge";
    ConfirmType: "To confirm, type this code:", "Geben Sie zur Bestätigung diesen Code ein:";
    ConfirmTypeField: "The code shown above", "Der oben gezeigte Code";
    ConfirmValid: "The code is valid until {}.", "Der Code gilt bis {}.";
    ConfirmWait: "Enter your password, and wait until the button appears in {}.",
        "Geben Sie Ihr Passwort ein, und warten Sie, bis in {} die Schaltfläche erscheint.";
    ConfirmAgain: "That was too early or too late, so a new wait has begun.", "Das war zu früh oder zu spät, deshalb hat eine neue Wartezeit begonnen.";
    ConfirmDenied: "That was not the code, or it is no longer valid. Type the new one.", "Das war nicht der Code, oder er gilt nicht mehr. Geben Sie den neuen ein.";
    ConfirmDo: "Do it now", "Jetzt ausführen";
    ConfirmStart: "Continue", "Weiter";
    ConfirmWarning: "This cannot be undone.", "Das kann nicht rückgängig gemacht werden.";

    // Admission by a mailed link.
    Admit: "Allow sign-in attempts", "Anmeldeversuche erlauben";
    AdmitLead: "Somebody has made many wrong attempts at your account, so that new places are refused. You can allow ten attempts within an hour from one place.",
        "Jemand hat viele falsche Versuche an Ihrem Konto gemacht, deshalb werden neue Orte abgelehnt. Sie können für einen Ort zehn Versuche innerhalb einer Stunde erlauben.";
    AdmitHere: "Allow this network", "Dieses Netzwerk erlauben";
    AdmitRefused: "Allow the place that was refused", "Den abgelehnten Ort erlauben";
    AdmitDone: "You can sign in now", "Sie können sich jetzt anmelden";
    AdmitDoneLead: "Ten attempts are allowed until {}.", "Bis {} sind zehn Versuche erlaubt.";
    AdmitTooMany: "This is allowed three times a day. Try again in {}.", "Das ist dreimal am Tag erlaubt. Versuchen Sie es in {} noch einmal.";
    AdmitInvalid: "This link is not valid any more", "Dieser Link gilt nicht mehr";
    AdmitInvalidLead: "It has expired or was replaced by a newer mail.", "Er ist abgelaufen oder wurde durch eine neuere Mail ersetzt.";

    // Activity.
    Activity: "Recent activity", "Letzte Ereignisse";
    ActivityAll: "Show all activity", "Alle Ereignisse zeigen";
    ActivityNone: "Nothing has happened yet.", "Es ist noch nichts geschehen.";
    ActivityLead: "If you do not recognise something, change your password and sign out everywhere else.",
        "Wenn Sie etwas nicht wiedererkennen, ändern Sie Ihr Passwort und melden Sie sich überall sonst ab.";
    ActivityDenied: "Refused", "Abgelehnt";
    ActivityImportant: "Important", "Wichtig";
    ActivityOther: "Something else happened ({})", "Etwas anderes ist geschehen ({})";

    // What was done.
    DoneAdded: "The authenticator app is set up.", "Die Authenticator-App ist eingerichtet.";
    DoneRemoved: "The factor was removed.", "Der Faktor wurde entfernt.";
    DoneName: "The name was changed.", "Der Name wurde geändert.";
    DoneCodes: "Your new recovery codes work now. The old ones are void.", "Ihre neuen Wiederherstellungscodes gelten jetzt. Die alten sind ungültig.";
    DoneSessions: "All other sessions were ended.", "Alle anderen Sitzungen wurden beendet.";
    DoneAddress: "The change of your address was cancelled.", "Die Änderung Ihrer Adresse wurde abgebrochen.";
    DoneAction: "It is done.", "Es ist ausgeführt.";
    DoneBrowser: "The browser was forgotten.", "Der Browser wurde vergessen.";
    DoneRenamed: "The browser was renamed.", "Der Browser wurde umbenannt.";
}

/// Returns the English and the German name of a common method that hosts check.
pub(super) fn method(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "passkey" => ("Passkey", "Passkey"),
        "security-key" => ("Security key", "Sicherheitsschlüssel"),
        "sms" => ("Text message", "SMS"),
        "push" => ("Push message", "Push-Nachricht"),
        _ => return None,
    })
}

/// Returns the English and the German sentence for a kind of event.
pub(super) fn event(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "account_created" => ("The account was created", "Das Konto wurde angelegt"),
        "account_seeded" => ("The account was imported", "Das Konto wurde übernommen"),
        "account_erased" => ("The account was erased", "Das Konto wurde gelöscht"),
        "logged_in" => ("Signed in", "Angemeldet"),
        "session_opened" => ("A session was opened", "Eine Sitzung wurde geöffnet"),
        "sessions_ended" => ("All other sessions were ended", "Alle anderen Sitzungen wurden beendet"),
        "sessions_ended_by_operator" => ("The operator ended all sessions", "Der Betreiber hat alle Sitzungen beendet"),
        "logins_ended" => ("All sign-ins were ended", "Alle Anmeldungen wurden beendet"),
        "other_logins_ended" => ("All other sign-ins were ended", "Alle anderen Anmeldungen wurden beendet"),
        "login_challenge_made" => {
            ("A sign-in is waiting for its second factor", "Eine Anmeldung wartet auf ihren zweiten Faktor")
        }
        "login_code_made" => ("A sign-in code was sent", "Ein Anmeldecode wurde verschickt"),
        "token_issued" => ("An app was given access", "Eine App hat Zugriff erhalten"),
        "token_confirmed" => ("An app confirmed its second factor", "Eine App hat ihren zweiten Faktor bestätigt"),
        "app_token_ended" => {
            ("An app's access ended after wrong attempts", "Der Zugriff einer App endete nach falschen Versuchen")
        }
        "factor_pending" => {
            ("The set-up of an authenticator app was begun", "Die Einrichtung einer Authenticator-App wurde begonnen")
        }
        "factor_added" => ("An authenticator app was added", "Eine Authenticator-App wurde hinzugefügt"),
        "factor_replaced" => ("An authenticator app was replaced", "Eine Authenticator-App wurde ersetzt"),
        "factor_removed" => ("An authenticator app was removed", "Eine Authenticator-App wurde entfernt"),
        "factor_renamed" => ("A factor got another name", "Ein Faktor erhielt einen anderen Namen"),
        "attested_factor_added" => ("A second factor was added", "Ein zweiter Faktor wurde hinzugefügt"),
        "attested_factor_removed" => ("A second factor was removed", "Ein zweiter Faktor wurde entfernt"),
        "assertion_accepted" => ("A second factor was used", "Ein zweiter Faktor wurde benutzt"),
        "assertion_denied" => (
            "An answer of a second factor was refused: it came again, too late, or from elsewhere",
            "Die Antwort eines zweiten Faktors wurde abgelehnt: Sie kam noch einmal, zu spät oder von anderswo",
        ),
        "email_factor_on" => ("Mailed codes were switched on", "Codes per E-Mail wurden eingeschaltet"),
        "email_factor_off" => ("Mailed codes were switched off", "Codes per E-Mail wurden ausgeschaltet"),
        "totp_accepted" => {
            ("A code from an authenticator app was used", "Ein Code einer Authenticator-App wurde benutzt")
        }
        "totp_out_of_window" => (
            "A code of another time was refused. The app's clock may be wrong",
            "Ein Code einer anderen Zeit wurde abgelehnt. Die Uhr der App geht vielleicht falsch",
        ),
        "totp_clock_ran_ahead" => (
            "An app's codes are refused for a while, because a clock ran ahead",
            "Die Codes einer App werden eine Weile abgelehnt, weil eine Uhr vorging",
        ),
        "recovery_codes_made" => ("Recovery codes were made", "Wiederherstellungscodes wurden erzeugt"),
        "recovery_codes_live" => ("New recovery codes are valid", "Neue Wiederherstellungscodes gelten"),
        "recovery_codes_removed" => ("The recovery codes were removed", "Die Wiederherstellungscodes wurden entfernt"),
        "recovery_code_used" => ("A recovery code was used", "Ein Wiederherstellungscode wurde benutzt"),
        "recovery_codes_low" => ("Few recovery codes are left", "Nur wenige Wiederherstellungscodes sind übrig"),
        "recovery_codes_exhausted" => {
            ("The last recovery code was used", "Der letzte Wiederherstellungscode wurde benutzt")
        }
        "recovery_codes_stale" => (
            "A recovery code from before a restore was used. Make new ones",
            "Ein Wiederherstellungscode von vor einer Wiederherstellung wurde benutzt. Erzeugen Sie neue",
        ),
        "device_remembered" => (
            "A browser was remembered: it is not asked for a code",
            "Ein Browser wurde gemerkt: Er wird nicht nach einem Code gefragt",
        ),
        "device_recognized" => (
            "A remembered browser was not asked for a code",
            "Ein gemerkter Browser wurde nicht nach einem Code gefragt",
        ),
        "device_forgotten" => ("A remembered browser was forgotten", "Ein gemerkter Browser wurde vergessen"),
        "step_up_granted" => ("You confirmed that it is you", "Sie haben bestätigt, dass Sie es sind"),
        "guess_denied" => {
            ("A wrong password or code was entered", "Ein falsches Passwort oder ein falscher Code wurde eingegeben")
        }
        "guesses_paused" => ("Wrong attempts led to a pause", "Falsche Versuche führten zu einer Pause"),
        "guesses_shut" => {
            ("New places are refused after wrong attempts", "Neue Orte werden nach falschen Versuchen abgelehnt")
        }
        "guesses_unlocked" => ("Waits and limits were lifted", "Wartezeiten und Grenzen wurden aufgehoben"),
        "client_admitted" => ("A place was allowed to try again", "Einem Ort wurden neue Versuche erlaubt"),
        "confirmation_asked" => ("A confirmation was requested", "Eine Bestätigung wurde angefordert"),
        "confirmation_granted" => ("An action was confirmed", "Ein Vorgang wurde bestätigt"),
        "confirmation_denied" => ("A confirmation was refused", "Eine Bestätigung wurde abgelehnt"),
        "confirmation_cancelled" => ("A confirmation was withdrawn", "Eine Bestätigung wurde zurückgezogen"),
        "address_verified" => ("The e-mail address was verified", "Die E-Mail-Adresse wurde bestätigt"),
        "address_change_asked" => {
            ("A change of the e-mail address was requested", "Eine Änderung der E-Mail-Adresse wurde angefordert")
        }
        "address_changed" => ("The e-mail address was changed", "Die E-Mail-Adresse wurde geändert"),
        "credential_changed" => ("The password was changed", "Das Passwort wurde geändert"),
        "challenge_set" => ("A master password was set", "Ein Hauptpasswort wurde gesetzt"),
        "challenge_replaced" => ("The master password was changed", "Das Hauptpasswort wurde geändert"),
        "keychain_set" => ("The keychain was stored", "Der Schlüsselbund wurde gespeichert"),
        "vault_swapped" => ("The vault was encrypted anew", "Der Tresor wurde neu verschlüsselt"),
        "vault_held" => (
            "A newly encrypted vault waits for its confirmation",
            "Ein neu verschlüsselter Tresor wartet auf seine Bestätigung",
        ),
        "vault_dropped" => ("A newly encrypted vault was discarded", "Ein neu verschlüsselter Tresor wurde verworfen"),
        "vault_damaged" => {
            ("The vault is damaged and was not given out", "Der Tresor ist beschädigt und wurde nicht herausgegeben")
        }
        "vault_accepted" => (
            "The operator accepted a damaged vault as it is",
            "Der Betreiber hat einen beschädigten Tresor angenommen, wie er ist",
        ),
        "factors_imported" => (
            "The second factors were taken over from another system",
            "Die zweiten Faktoren wurden aus einem anderen System übernommen",
        ),
        "factors_exported" => {
            ("The operator exported the second factors", "Der Betreiber hat die zweiten Faktoren ausgeführt")
        }
        "registration_superseded" => (
            "The registration was dropped, because another account verified the address first",
            "Die Registrierung wurde verworfen, weil ein anderes Konto die Adresse zuerst bestätigt hat",
        ),
        "end_to_end_keys_reset" => {
            ("The end-to-end keys were reset", "Die Ende-zu-Ende-Schlüssel wurden zurückgesetzt")
        }
        _ => return None,
    })
}

"""What the generated tickets say, and how likely each class is when they say it.

Every sentence stands in one place only: a text therefore tells which topic, alarms, explanation and urgency it was
written from, and so determines the probability of each class. `_tickets.py` holds the model that uses these tables.
"""

from typing import NamedTuple

__all__ = [
    "ALARMS",
    "CLASSES",
    "EXPLANATIONS",
    "GREETINGS",
    "SLOTS",
    "SMALL_TALK",
    "TOPICS",
    "URGENCIES",
    "URGENCY_CHANCES",
    "Topic",
]

# In sorted order, as numpy.unique and every scikit-learn classifier give them.
CLASSES = (
    "account_unlock",
    "billing_question",
    "hardware_fault",
    "password_reset",
    "security_incident",
    "software_install",
    "vpn_issue",
)


class Topic(NamedTuple):
    """What a ticket is about: its share of the tickets, how often alarms come with it, its classes and sentences."""

    share: float
    alarm_rate: float
    chances: dict[str, float]
    subjects: tuple[str, ...]
    details: tuple[str, ...]


TOPICS = (
    Topic(
        0.155,
        0.10,
        {"account_unlock": 0.97, "password_reset": 0.03},
        (
            "My account is locked {when}.",
            "I am locked out of my account {when}.",
            "The system says that my account is locked.",
            "Please unlock my account.",
            "I was locked out of {program} {when}.",
        ),
        (
            "I typed the wrong password too often.",
            "It says too many attempts.",
            "The screen tells me to ask the help desk to unlock it.",
            "I know my password, but the account stays locked.",
            "The lock does not go away after an hour.",
        ),
    ),
    Topic(
        0.08,
        0.24,
        {"account_unlock": 0.66, "password_reset": 0.24, "vpn_issue": 0.10},
        (
            "I cannot log in {when}.",
            "My login does not work {when}.",
            "I cannot get into {program} {when}.",
            "The login page turns me away.",
            "I cannot sign in on my {device}.",
        ),
        (
            "It says that my login is not valid.",
            "It only shows an error after I type my password.",
            "Nothing happens after the login page.",
            "My colleague can log in, but I cannot.",
            "It worked yesterday.",
        ),
    ),
    Topic(
        0.22,
        0.08,
        {"password_reset": 0.98, "account_unlock": 0.02},
        (
            "I forgot my password.",
            "Please reset my password.",
            "I need a new password for {program}.",
            "My password has expired {when}.",
            "The password reset does not work for me.",
        ),
        (
            "The reset page does not send me the code.",
            "I changed it before my holiday and cannot remember it.",
            "It wants my old password, which I do not know.",
            "The new password is not accepted.",
            "I would like a temporary password.",
        ),
    ),
    Topic(
        0.14,
        0.03,
        {"vpn_issue": 0.98, "hardware_fault": 0.01, "software_install": 0.01},
        (
            "The VPN drops every few minutes {when}.",
            "I cannot connect to the VPN from home.",
            "The VPN on my {device} is very slow {when}.",
            "The VPN client does not connect {when}.",
            "My connection to the office network fails {when}.",
        ),
        (
            "It disconnects without a message.",
            "The client shows a timeout.",
            "The home network itself works.",
            "It stops at the step where it checks the network.",
            "I tried another network without luck.",
        ),
    ),
    Topic(
        0.04,
        0.12,
        {"vpn_issue": 0.62, "password_reset": 0.24, "account_unlock": 0.14},
        (
            "The VPN does not accept my password.",
            "The VPN asks for my login again and again.",
            "My login works in the office but not on the VPN.",
            "The VPN says that my account is not valid.",
        ),
        (
            "The same password works for {program}.",
            "I am not sure whether the password or the VPN is to blame.",
            "It turns me away after the second step.",
            "It asks for a code that I do not get.",
        ),
    ),
    Topic(
        0.12,
        0.02,
        {"hardware_fault": 0.98, "software_install": 0.02},
        (
            "My {device} does not start {when}.",
            "The screen of my {device} stays black {when}.",
            "The keyboard of my {device} is broken.",
            "My {device} makes a loud noise {when}.",
            "The battery of my {device} is empty after an hour.",
        ),
        (
            "I tried another cable.",
            "It does not charge any more.",
            "It fell from the desk.",
            "The light is on, but nothing happens.",
            "I need a spare one.",
        ),
    ),
    Topic(
        0.036,
        0.04,
        {"hardware_fault": 0.58, "software_install": 0.38, "vpn_issue": 0.04},
        (
            "My {device} is very slow {when}.",
            "My {device} freezes when I open {program}.",
            "My {device} restarts by itself {when}.",
        ),
        (
            "It began after the last update.",
            "The fan runs all the time.",
            "I do not know whether it is the machine or the program.",
            "I have to switch it off and on again.",
        ),
    ),
    Topic(
        0.105,
        0.02,
        {"software_install": 0.98, "billing_question": 0.02},
        (
            "Please install {program} on my {device}.",
            "I need {program} for a new project.",
            "The update of {program} fails {when}.",
            "I cannot install {program}.",
            "Please update {program} on my {device}.",
        ),
        (
            "It says that I need administrator rights.",
            "The installation stops halfway.",
            "My manager has approved it.",
            "The old version does not open the new files.",
            "It asks for a licence key.",
        ),
    ),
    Topic(
        0.03,
        0.02,
        {"billing_question": 0.60, "software_install": 0.40},
        (
            "The licence of {program} has run out {when}.",
            "I have a question about the licence of {program}.",
            "We need two more licences of {program}.",
        ),
        (
            "Who pays for it?",
            "It says that the subscription has ended.",
            "It must be renewed before we can work.",
            "Our cost centre has changed.",
        ),
    ),
    Topic(
        0.07,
        0.03,
        {"billing_question": 0.98, "software_install": 0.02},
        (
            "I have a question about an invoice.",
            "We were charged twice {when}.",
            "Please send me the invoice for my {device}.",
            "The amount on the last bill is wrong.",
        ),
        (
            "The cost centre is not ours.",
            "The accounts department asks for a copy.",
            "The order was cancelled.",
            "I need the details for our budget.",
        ),
    ),
    Topic(
        0.004,
        0.0,
        {"security_incident": 0.94, "hardware_fault": 0.06},
        (
            "All files on my {device} have new names and do not open.",
            "A message on my {device} asks for money to open my files.",
            "Somebody moves the mouse on my {device} and opens my files.",
        ),
        (
            "I switched it off at once.",
            "I pulled out the network cable.",
            "I have not touched anything since.",
        ),
    ),
)

# Signs of an incident. Alarming alone, yet a second sign mostly repeats what the first one said.
ALARMS = (
    (
        "I also got a suspicious e-mail {when}.",
        "There was a strange e-mail with a link just before.",
        "A suspicious message asked for my password.",
    ),
    (
        "I also got a notice about an unknown sign-in.",
        "There is a strange sign-in on my account that I do not know.",
        "The log shows a sign-in from an unknown device.",
    ),
    (
        "I also opened an attachment that looked strange.",
        "A suspicious window opened and closed by itself.",
        "I clicked on an unknown file before I noticed.",
    ),
)

# The first entry explains nothing, entry i explains alarm i - 1 only. All of them are said without any alarm, too.
EXPLANATIONS = (
    ("",),
    (
        "We had the security training exercise this week.",
        "Our team took part in the phishing exercise.",
        "My manager told us about the awareness training.",
    ),
    (
        "I have a new phone.",
        "I set up my new phone at the weekend.",
        "I was travelling with another phone.",
    ),
    (
        "The monthly update was installed this week.",
        "A colleague from support worked on my machine.",
        "The scanner sent me its documents as usual.",
    ),
)

URGENCIES = (
    ("", "Thank you.", "Thanks in advance."),
    ("There is no hurry.", "Any time this week is fine.", "It can wait until tomorrow."),
    ("This is urgent.", "Please help as soon as possible.", "I have a customer meeting in an hour."),
)

# P(urgency | class), in the order of URGENCIES.
URGENCY_CHANCES = {
    "account_unlock": (0.50, 0.10, 0.40),
    "billing_question": (0.50, 0.40, 0.10),
    "hardware_fault": (0.50, 0.20, 0.30),
    "password_reset": (0.50, 0.20, 0.30),
    "security_incident": (0.50, 0.10, 0.40),
    "software_install": (0.50, 0.35, 0.15),
    "vpn_issue": (0.50, 0.10, 0.40),
}

# Said whatever the class is.
GREETINGS = ("", "Hello.", "Hi team.", "Good morning.", "Dear help desk.", "Good afternoon.")
SMALL_TALK = (
    "",
    "",
    "",
    "I hope you are well.",
    "Sorry to bother you again.",
    "I already asked a colleague.",
    "I work from home today.",
    "I am back from my holiday.",
    "You helped me very well last time.",
    "I am new in the sales team.",
    "I am writing from the phone of a colleague.",
    "I hope that this is the right place to ask.",
)
SLOTS = {
    "when": ("this morning", "since Monday", "since yesterday", "again", "today", "since the weekend", "after lunch"),
    "device": ("laptop", "desktop", "tablet", "workstation", "notebook", "office computer"),
    "program": (
        "the mail program",
        "the calendar",
        "the spreadsheet",
        "the time sheet",
        "the chat",
        "the drawing tool",
    ),
}

"""English answers for each kind of constraint: those that follow it, and those that do not, near misses among them."""

ANSWERS: dict[str, tuple[list[str], list[str]]] = {
    "at_most_words": (["It takes five days.", "word " * 25], ["word " * 26, "It's well-known " * 13]),
    "at_least_words": (["word " * 40, "- 1.5 days\n" * 20], ["word " * 39, "word, - ... " * 39]),
    "words_between": (["word " * 20, "word " * 30], ["word " * 19, "word " * 31]),
    "one_sentence": (
        ["It costs 1.2% of 10.00 each.", "It takes five days"],
        ["It costs 1.2%. Look at Reports.", 'Press "Send." Then wait.'],
    ),
    "three_sentences": (["One. Two! Three?", "Open it... Press Send. Wait"], ["One. Two.", "One. Two. Three. Four."]),
    "short_sentences": (
        ["Open the page. Press Send. Wait.", "a b c d e f g h i j k l. A b c d e f g h i j k l."],
        ["a b c d e f g h i j k l m.", "Wait. Then open the page, press the button, go back, wait again, and look once more."],
    ),
    "two_paragraphs": (
        ["Open it.\n\nThen wait.", "Open it.\nWait.\n \n\nThen pay."],
        ["Open it.\nThen wait.", "One.\n\nTwo.\n\nThree."],
    ),
    "one_line": (["Open it. Then wait.", "Open it.\n"], ["Open it.\nThen wait.", "Open it.\n\nThen wait."]),
    "numbered_list": (
        ["1. a\n2. b\n3. c", "Do this:\n1) a\n2) b\n3) c"],
        ["1. a\n2. b\n3. c\n4. d", "1. a\n3. c\n2. b", "1. a 2. b 3. c", "1.5 days\n2. b\n3. c"],
    ),
    "lettered_list": (["a) x\nb) y\nc) z", "(a) x\n(b) y\n(c) z"], ["a) x\nb) y", "1) x\n2) y\n3) z", "A) x\nB) y\nC) z"]),
    "bullet_list": (["- a\n- b", "Do this:\n* a\n* b"], ["- a\n- b\n- c", "-a\n-b", "a - b\n- c"]),
    "json_object": (
        ['{"answer": "five days"}', '```json\n{"answer": 5, "unit": "days"}\n```'],
        ['Here it is: {"answer": "five days"}', '{"reply": "five days"}', "{'answer': 'five days'}", '["answer"]', "[" * 100_000],
    ),
    "table": (
        ["| Step | Time |\n|---|---|\n| Send | 1 day |", "Step | Time\n:-- | --:\nSend | 1 day\nWait | 2 days"],
        [
            "| Step |\n|---|\n| Send |",
            "| a | b |\n|---|---|",
            "See:\n| a | b |\n|---|---|\n| c | d |",
            "| a | b |\n| c | d |\n| e | f |",
        ],
    ),
    "start_with": (
        ["Certainly, it does.", "CERTAINLY!"],
        ["It certainly does.", "Certainlyness is rare.", "**Certainly**, it does."],
    ),
    "title": (
        ["<<Refunds>>\nThey take five days.", "<<How to pay>>\n\nOpen the page."],
        ["<Refunds>\nThey take five days.", "<<Refunds>> They take five days.", "They take five days.\n<<Refunds>>", "<<Refunds>>"],
    ),
    "heading": (
        ["# Refunds\nThey take five days.", "## Refunds\n\nThey take five days."],
        ["#Refunds\nThey take five days.", "Refunds\n# They take five days.", "# Refunds"],
    ),
    "end_with": (
        ["Done. Have a nice day!", "Have a nice day."],
        ["Have a nice day. Done.", "Done. Have a nice day, Ann.", "I behave a nice day"],
    ),
    "end_question": (
        ["Five days. Is that fine?", 'It costs 1.2%. Is that "fine?"'],
        ["Is that fine? Five days.", "Is that fine.", "Five days.?"],
    ),
    "postscript": (
        ["Five days.\nP.S. Weekends do not count.", "Five days.\n\nP.S. It is free."],
        ["Five days. P.S. It is free.", "P.S. It is free.", "Five days.\nPS It is free.", "Five days.\nP.S. It is free.\nBye."],
    ),
    "include_word": (["We are happy to help.", "HAPPY to help"], ["We are unhappy about it.", "We are happily here."]),
    "repeat_word": (["Our team asks your team.", "Team, team!"], ["Our team asks you.", "Our teams ask your team."]),
    "first_finally": (
        ["First open it. Finally press Send.", "First,\nfinally"],
        ["Finally press Send, but first open it.", "Firstly a, finally b."],
    ),
    "avoid_common": (["Open a page.", "Other themes"], ["Open the page.", "THE END"]),
    "avoid_you": (["Open our Dashboard.", "Youth pays less."], ["Yes, you can.", "Open your page.", "You're done."]),
    "no_comma": (["Five days and no more.", "One; two"], ["Five days, no more.", "It costs 1,000 dollars"]),
    "parenthesis": (["Five days (at most).", "Go (now)"], ["Five days.", "Five (5) days (at most).", "Five days ( )."]),
    "bold_phrase": (
        ["It takes **five days**.", "**Five**"],
        ["It takes *five days*.", "**Five** or **six** days.", "** five ** days"],
    ),
    "no_digits": (["Five days.", "Week two"], ["5 days.", "Five days, 24h", "Day ５"]),
    "upper_case": (["FIVE DAYS, 10.", "YES"], ["FIVE days.", "Five", "10."]),
    "lower_case": (["five days.", "yes, 10"], ["Five days.", "five Days", "10."]),
    "in_quotes": (
        ['"Five days."', "“Five days.”"],
        ['He said "five days."', '"Five" or "six"', "'Five days.'", '"Five days.'],
    ),
    "other_language": (["五天到账。", "通过Dashboard退款"], ["Five days.", "Five days (天) after it was sent"]),
}

"""Which languages a text may be in. The samples are the first article of the Universal Declaration of Human Rights, and small talk."""

# ruff: noqa: E501 - samples stand on one line each

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.language import LANGUAGE, LANGUAGES, Language
from gateway.validators.validator import Subject, Unjudged

RIGHTS = {
    "en":"All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
    "de":"Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geiste der Brüderlichkeit begegnen.",
    "fr":"Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "es":"Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "pt":"Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "it":"Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "nl":"Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    "sv":"Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med förnuft och samvete och bör handla gentemot varandra i en anda av broderskap.",
    "da":"Alle mennesker er født frie og lige i værdighed og rettigheder. De er udstyret med fornuft og samvittighed, og de bør handle mod hverandre i en broderskabets ånd.",
    "no":"Alle mennesker er født frie og med samme menneskeverd og menneskerettigheter. De er utstyrt med fornuft og samvittighet og bør handle mot hverandre i brorskapets ånd.",
    "fi":"Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "pl":"Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "cs":"Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím a mají spolu jednat v duchu bratrství.",
    "hu":"Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek.",
    "ro":"Toate ființele umane se nasc libere și egale în demnitate și în drepturi. Ele sunt înzestrate cu rațiune și conștiință și trebuie să se comporte unele față de altele în spiritul fraternității.",
    "tr":"Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    "id":"Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Mereka dikaruniai akal dan hati nurani dan hendaknya bergaul satu sama lain dalam semangat persaudaraan.",
    "vi":"Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được tạo hóa ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình bằng hữu.",
    "el":"Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "ru":"Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    "uk":"Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю і повинні діяти у відношенні один до одного в дусі братерства.",
    "bg":"Всички хора се раждат свободни и равни по достойнство и права. Те са надарени с разум и съвест и следва да се отнасят помежду си в дух на братство.",
    "he":"כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "ar":"يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل بعضهم بعضاً بروح الإخاء. لكل إنسان حق التمتع بكافة الحقوق والحريات الواردة في هذا الإعلان، من غير أي تمييز",
    "fa":"تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند. همه دارای عقل و وجدان هستند و باید نسبت به یکدیگر با روح برادری رفتار کنند.",
    "ur":"تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔ انہیں ضمیر اور عقل ودیعت ہوئی ہے۔ اس لیے انہیں ایک دوسرے کے ساتھ بھائی چارے کا سلوک کرنا چاہیے۔",
    "hi":"सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "mr":"सर्व मानवी व्यक्ति जन्मतः स्वतंत्र आहेत आणि त्यांना समान प्रतिष्ठा व समान अधिकार आहेत. त्यांना विचारशक्ती व सदसद्विवेकबुद्धी लाभलेली आहे व त्यांनी एकमेकांशी बंधुत्वाच्या भावनेने आचरण करावे.",
    "th":"มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "ko":"모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "ja":"すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "zh":"人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}
TALK = {
    "en": "Sure, here is what you asked for. I have changed the two files and the tests are green again.",
    "de": "Gerne, hier ist das Ergebnis. Ich habe die beiden Dateien geändert und die Tests laufen wieder durch.",
    "fr": "Bien sûr, voici le résultat. J'ai modifié les deux fichiers et les tests passent de nouveau.",
    "es": "Claro, aquí tienes el resultado. He cambiado los dos archivos y las pruebas pasan de nuevo.",
    "pt": "Claro, aqui está o resultado. Eu alterei os dois arquivos e os testes passam novamente.",
    "it": "Certo, ecco il risultato. Ho modificato i due file e i test sono di nuovo tutti verdi.",
    "nl": "Natuurlijk, hier is het resultaat. Ik heb de twee bestanden aangepast en de tests slagen weer.",
    "sv": "Visst, här är resultatet. Jag har ändrat de två filerna och alla tester går igenom igen.",
    "pl": "Jasne, oto wynik. Zmieniłem oba pliki i wszystkie testy znowu przechodzą, a nie jest to już problem.",
    "ru": "Конечно, вот результат. Я изменил оба файла, и все тесты снова проходят.",
    "uk": "Звичайно, ось результат. Я змінив обидва файли, і всі тести знову проходять, як це було раніше.",
    "tr": "Tabii, sonuç burada. İki dosyayı değiştirdim ve bütün testler yine geçiyor, bu kadar.",
}


def seen(text: str, *allow: str, **options):
    return list(LANGUAGE.make(Language(allow=allow, **options))(Subject(text)))


@pytest.mark.parametrize(("language", "text"), [*RIGHTS.items(), *TALK.items()])
def test_a_text_is_in_its_own_language_and_in_no_other(language, text):
    assert seen(text, language) == []
    for other in (one for one in LANGUAGES if one != language):
        [found] = seen(text, other)
        assert (found.code, found.detail) == ("other_language", f"a part of the text is in the language '{language}'; allowed: {other}")


def test_every_language_that_is_offered_is_told_from_a_sample():
    assert set(RIGHTS) == set(LANGUAGES)


@given(st.lists(st.sampled_from(sorted(RIGHTS)), min_size=1, max_size=4), st.sampled_from(["\n\n", "\n \n", "\r\n\r\n"]))
def test_of_paragraphs_those_in_other_languages_are_found_where_they_stand(languages, between):
    text = between.join(RIGHTS[one] for one in languages)
    found = [text[one.start : one.end].strip() for one in seen(text, "en", "ja")]
    assert found == [RIGHTS[one] for one in languages if one not in ("en", "ja")]


@pytest.mark.parametrize(
    "text",
    [
        "Ok.",
        "Paris",
        "Llanfairpwllgwyngyll gogerychwyrndrobwll llantysiliogogogoch yw enw",
        "Ⴀⴀ ⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋⴌⴍⴎⴏⴐⴑⴒⴓⴔ",
        "Здравствуйте привет hello friends",
        "apples\nbananas\ncherries\ndates\nelderberries\nfigs",
    ],
)
def test_what_cannot_be_told_is_unjudged_unless_a_rule_lets_it_pass(text):
    with pytest.raises(Unjudged, match="cannot be told"):
        seen(text, "en")
    assert seen(text, "en", unsure="pass") == []


@pytest.mark.parametrize(
    "text",
    ["", "42", " \n\n", "```python\nfor der in die: das\n```", "`und der die das`", "https://example.com/der-die-das 12.5 www.example.com"],
)
def test_where_nothing_has_a_language_nothing_is_said(text):
    assert seen(text, "fr") == []


def test_headings_and_short_lines_among_text_that_is_told_do_not_make_it_unsure():
    assert seen(f"# Result\n\n{RIGHTS['en']}\n\nDone!", "en") == []


def test_lines_of_which_none_tells_are_told_together():
    lines = "Der Hund\n\nDie Katze\n\nund das Tier\n\nist nicht von hier\n\nes war ein Haus"
    assert seen(lines, "de") == []
    [found] = seen(lines, "en")
    assert (found.code, found.start, found.end) == ("other_language", 0, len(lines))


def test_letters_of_another_script_inside_a_paragraph_are_counted_where_a_rule_asks():
    text = f"{TALK['en']} 这是一个测试 {TALK['en']}"
    assert seen(text, "en") == []
    assert seen(text, "en", other_letters=6) == []
    [found] = seen(text, "en", other_letters=5)
    assert (found.code, text[found.start : found.end]) == ("other_script", "这是一个测试")
    assert "6 letters" in found.detail
    assert seen(text, "en", "zh", other_letters=0) == []


def test_accents_written_as_characters_of_their_own_change_nothing():
    import unicodedata

    assert seen(unicodedata.normalize("NFD", RIGHTS["fr"]), "fr") == []


@pytest.mark.parametrize(("language", "said"), [("eng", "did you mean 'en'"), ("xx", "it can tell en, de")])
def test_a_language_that_cannot_be_told_is_an_error_of_the_rule(language, said):
    with pytest.raises(ValueError, match=said):
        Language(allow=(language,))


def test_a_text_beyond_the_limit_is_unjudged():
    with pytest.raises(Unjudged, match="1000001 characters"):
        seen("a" * 1_000_001, "en")


@pytest.mark.parametrize("piece", ["a", "a ", "`", "```", "\n", " \n", "/", "é\u0301", "あ", "the of ", "\u0301", "_"])
def test_time_grows_with_the_text(piece, cpu_at_most):
    with cpu_at_most(4):
        seen(piece * (60_000 // len(piece)), "en", unsure="pass", other_letters=0)

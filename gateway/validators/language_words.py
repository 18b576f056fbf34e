"""The commonest small words of languages that share a script: articles, pronouns, prepositions, forms of `be` and `have`.

Small words make up a third to a half of any running text, whatever it is about, and nearly half of them stand in one language alone. A
dictionary would know more words and tell less. Languages with a script of their own need no words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_BY_LANGUAGE: Final = {
    "en": "the of and to a in is that for it was on with as be by at this are not have from or an but they you which we were his"
    " her has will can their would been more when there your what if about all so into do than then its our also how should"
    " any may i he she",
    "de": "der die das und ist in den von zu mit sich auf für nicht ein eine einen einem einer des dem im es auch als an werden"
    " wird aus er sie hat dass nach bei um am sind noch wie war haben nur oder aber vor zur bis mehr durch man kann ich wir"
    " ihr ihre wenn zum über diese",
    "fr": "le la les de des du et un une est en que qui dans pour pas sur au aux par plus ce cette ces il elle ils avec sont se"
    " ne son sa ses mais ou comme nous vous leur être a été fait aussi même sans peut tout d l qu c n s j y je on où donc"
    " entre votre notre",
    "es": "de la que el en y los se del las un una por con no su para es al lo como más pero sus le ya o este sí porque esta"
    " entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante ser son está tiene puede fue han"
    " era uno ni qué esto usted yo",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu sua ou ser"
    " quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos são você pode esta este"
    " nas num essa",
    "it": "di e il la che in un per è una non sono da del con si le i della al dei nel alla più anche lo ma gli come ha se o"
    " questo delle su sua suo dal ed questa degli nella essere ai loro tra può cui hanno era c dell l quando dove perché ci"
    " mi tutti tutto ogni",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er die om ook als bij maar door dan naar worden wordt uit nog"
    " over zich heeft wat of kan hij ze ik je we had deze dit geen meer tot hun was al wel zou moet hebben kunnen u uw alle"
    " tegen onder",
    "sv": "och i att det som en på är av för med till den har de inte om ett han men var jag sig från vi så kan när eller ska"
    " blir efter alla skulle hade över mycket vid också där under sin man ut kunde hon detta finns denna dem varje du nu"
    " mellan bara",
    "da": "og i at det er en til på som af for med den der de har ikke et om han var jeg sig fra kan men vi så eller når skal"
    " bliver efter alle hvor over ved også her hun dette være blev nogle ud kunne du nu mellem kun hver deres mod meget vil"
    " blive",
    "no": "og i å det er en til på som av for med den de har ikke et om han var jeg seg fra kan men vi så eller når skal blir"
    " etter alle hvor over ved også her hun dette være ble noen ut kunne du nå mellom bare hver deres mot mye vil bli mer",
    "fi": "ja on ei se että hän oli ovat kun mutta myös tai niin kuin jos joka sen mitä ole olla voi tämä sekä ne jotka minä sinä"
    " he me vain nyt mukaan sitä siitä jo kanssa kaikki tässä olen oma vielä ennen mikä jälkeen hänen heidän toisiaan",
    "pl": "i w na z do nie się że jest to o jak po ale co za od przez tym są być dla który która które oraz tego ich jego jej był"
    " może tak czy tylko jako już ze gdy przy pod bez ten ta jeśli także jednak wobec powinni innych można lub między",
    "cs": "a v se na je že s z to do o i jako za by ve pro ale po od jsou podle není byl tak které která který může jeho když"
    " před už nebo jen co k při mezi také až být jejich bylo ze ještě tím této však má aby mají sobě jiné musí pouze",
    "hu": "a az és hogy nem is egy ez meg van volt de azt csak már kell mint ha vagy el ki még minden lehet ezt ami aki le után"
    " között majd fel szerint most pedig sem nagyon nincs illetve olyan azonban való mert ezek egymással",
    "ro": "de și în a la cu este pe nu un o se care din pentru că mai ce sunt au fost sau dar prin ca al ale lui după fi acest"
    " această le cum când unei unui ei fără până foarte poate lor tot către între dintre trebuie să iar îi își toate unele",
    "tr": "ve bir bu da de için ile olarak çok daha olan gibi en kadar ne ama sonra ya her o var ise mi değil olduğu tarafından"
    " ben sen biz göre veya ki şu olduğunu önce şey hem diye yok bütün bazı karşı birbirlerine nasıl",
    "id": "yang dan di untuk dengan ini dari itu dalam tidak akan pada adalah juga ke karena oleh ada sebagai atau bisa telah"
    " dapat saya mereka kami anda lebih bahwa sudah tersebut seperti harus kita hanya belum antara setiap satu sama saat"
    " lain",
    "vi": "và của là có không các được cho một trong người với những này đã khi để đến về như tôi ra từ cũng vào nhiều phải đó"
    " thì tại sẽ bạn họ còn theo hay nếu chúng trên rằng đều mọi nhau lại bị hơn việc sự nên",
    "ru": "и в не на что с я он как это по но из к у за от так то же для вы бы все его было о мы или если уже она они быть был"
    " при есть только также может этого которые который чтобы их до ли со во когда нет ещё между должны",
    "uk": "і в не на що з я він як це по але із до у за від так то же для ви б всі його було про ми або якщо вже вона вони бути"
    " був при є тільки також може цього які який щоб їх чи зі та й коли немає ще між мають повинні",
    "bg": "и в не на че с аз той като това по но от към у за така то да ви би всички го беше о ние или ако вече тя те бъде бил"
    " при е само също може които който са се ще ли със във когато няма още между трябва една един съм",
    "ar": "في من على إلى أن هذا هذه التي الذي ما لا عن مع كان كل قد هو هي أو كما بعد قبل ثم لم بين إن ذلك عند غير حيث تم كانت"
    " يمكن ولا وقد",
    "fa": "و در به از که این را با است برای آن یک خود تا بر هم شده می باید کرد شود او ما شما آنها اما نیز هر بود یا اگر دارد کند"
    " های همه",
    "ur": "کے میں کی ہے اور کا سے کو نے پر کہ ہیں یہ نہیں بھی اس ایک جو تھا ہو گیا کر لیے تو وہ تمام ساتھ اپنے ہوتا جا چاہیے",
    "hi": "के में की है और का से को ने पर कि हैं यह नहीं भी इस एक जो था हो गया कर लिए तो वह तथा सभी साथ अपने होता जा चाहिए",
    "mr": "आणि आहे या ते तो ती हे ही आहेत होते होता मध्ये नाही साठी एक केले की व त्या पण असे सर्व करून च्या",
}

WORDS: Final[Mapping[str, frozenset[str]]] = {language: frozenset(words.split()) for language, words in _BY_LANGUAGE.items()}

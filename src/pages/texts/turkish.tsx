import { formatsIn } from "../format.ts";
import type { Texts } from "./english.tsx";

const format = formatsIn("tr", "tr");
const { number } = format;

const credits = (count: number) => `${number(count)} kredi`;

/** The texts of the pages in Turkish. */
export const turkish: Texts = {
  lang: "tr",
  name: "Türkçe",
  paths: {
    home: "/tr",
    guide: "/tr/docs",
    terms: "/tr/terms",
    privacy: "/tr/privacy",
    search: "/tr/docs/search",
  },
  format,
  credits,
  images: (count) => `${number(count)} görsel`,
  copy: "Kopyala",

  frame: {
    skip: "İçeriğe geç",
    main: "Ana menü",
    docs: "Belgeler",
    reference: "API başvurusu",
    changelog: "Değişiklikler",
    terms: "Kullanım koşulları",
    privacy: "Gizlilik",
    support: "Destek",
    status: "Durum",
    signIn: "Giriş yap",
    signUp: "Hesap aç",
    signOut: "Çıkış yap",
    footer: "Ön ödemeli kredi. Oluşturulamayan görsellerin kredisi kendiliğinden iade edilir.",
    account: "Hesap",
    overview: "Genel bakış",
    playground: "Deneme alanı",
    images: "Görseller",
    keys: "API anahtarları",
    credits: "Krediler",
    settings: "Ayarlar",
  },

  search: {
    label: "Belgelerde ara",
    placeholder: "Ara ( / )",
    submit: "Ara",
    none: "Sonuç bulunamadı",
    found: "sonuç",
    title: "Arama",
  },

  errors: {
    titles: {
      400: "Hatalı istek",
      403: "İstek reddedildi",
      404: "Sayfa bulunamadı",
      413: "İstek çok büyük",
      429: "Çok fazla deneme",
      503: "Şu an kullanılamıyor",
    },
    failed: "Bir şeyler ters gitti",
    support: (requestId) =>
      `Birazdan yeniden deneyin. Sorun sürerse, şu istek kimliğiyle desteğe başvurun: ${requestId}.`,
    notFound: (docs, account) => (
      <>
        {docs} veya {account} sayfasına gidebilirsiniz.
      </>
    ),
    documentation: "Belgeler",
    yourAccount: "Hesabım",
    otherSite: "Bu form başka bir siteden gönderildi.",
    notConfigured: "Giriş yapılandırılmamış: bu sunucuda AUTH_SECRET ayarlı değil.",
    suspended: "Bu hesap askıya alındı. Hizmetin işletmecisine başvurun.",
    notAForm: "Bu sayfa yalnızca form kabul eder.",
    formTooLarge: "Form çok büyük.",
    formTooSlow: "Formun gelmesi çok uzun sürdü. Yeniden gönderin.",
    formUnreadable: "Form okunamadı.",
    againInMinutes: (minutes) => `${number(minutes)} dakika sonra yeniden deneyin.`,
    noGeneration: "Böyle bir oluşturma yok.",
  },

  landing: {
    title: "GPT Image Hub: görsel oluşturma API'si",
    description: "Anahtarlı, ön ödemeli kredili ve kendiliğinden iadeli görsel oluşturma API'si.",
    heading: "Tek bir HTTP isteğiyle görsel oluşturun.",
    lead: "Bir API anahtarı, bir istek, bir ile dört arası görsel. Ön ödemeli krediyle ödersiniz; oluşturulamayan görsellerin kredisi kendiliğinden iade edilir.",
    signUp: "Hesap aç",
    docs: "Belgeleri oku",
    prices: "Fiyatlar",
    model: "Model",
    pricesHint:
      "Görsel başına, her en boy oranında. 1K yaklaşık 1 megapiksel, 2K yaklaşık 4, 4K ise 8 ve üzeridir. Oluşturulamayan görseller ücretsizdir.",
    packsFrom: (money, count) =>
      `Krediler paketlerle satılır. En küçük paket: ${money} karşılığında ${credits(count)}.`,
    request: "Tek bir istek yeter",
    sample: "Örnek istek",
    facts: [
      [
        "Bekleyin ya da sonra alın.",
        <>
          Görselleri bekleyin veya <code>async</code> gönderip sonucu sonra okuyun.
        </>,
      ],
      ["Bağlantınız kopabilir.", "Kabul edilen istek tamamlanır, saklanır ve bir kez ücretlendirilir."],
      ["Referans görseller.", "İstemle birlikte en çok on altı görsel gönderin."],
      ["Eksiksiz hesap dökümü.", "Hesabınızda her ücret ve her iade görünür."],
    ],
    examples: "Örnekler",
    prompts: {
      lighthouse: "alacakaranlıkta bir deniz feneri",
      cabin: "akşam, göl kıyısında bir dağ kulübesi",
      city: "gece bir şehir silüeti",
      winter: "dolunay altında karlı bir köy",
      desert: "öğle vakti çöl kumulları",
      forest: "sonbahar yağmurunda bir orman",
      balloons: "yeşil tepelerin üzerinde balonlar",
    },
    pictureOf: (prompt) => `Şu istemden oluşturuldu: ${prompt}`,
    quoted: (prompt) => `“${prompt}”`,
  },

  auth: {
    email: "E-posta",
    password: "Parola",
    notAnEmail: "Bir e-posta adresi girin; örneğin ada@example.com.",
    passwordHint: (least) => `En az ${least} karakter. Birkaç sözcük kolay akılda kalır.`,
    passwordShort: (least) => `Parola en az ${least} karakter olmalıdır.`,
    passwordLong: (most) => `Parola en çok ${most} karakter olabilir.`,
    linkExpired: "Bu bağlantının süresi dolmuş veya bağlantı kullanılmış. Yenisini isteyin.",
    continueWith: (provider) => `${provider} ile devam et`,
    orPassword: "veya parolayla",
    signIn: "Giriş yap",
    toContinue: "Devam etmek için giriş yapın.",
    otherFailed: "Diğer hizmetle giriş yapılamadı. Yeniden deneyin veya parolanızı kullanın.",
    noMethod: "Bu giriş yöntemi kullanılamıyor.",
    enterPassword: "Parolanızı girin.",
    wrong: "E-posta veya parola yanlış.",
    unverified: "Önce e-posta adresinizi doğrulayın. Size yeni bir bağlantı gönderdik.",
    forgot: "Parolanızı mı unuttunuz?",
    newHere: "Hesabınız yok mu?",
    signUp: "Hesap açın",
    createAccount: "Hesap aç",
    free: (count) => `Ücretsiz. 30 gün geçerli ${credits(count)} hediye.`,
    freeWithout: "Ücretsiz. Görseller krediyle oluşturulur; kredi almak için desteğe başvurun.",
    haveAccount: "Zaten hesabınız var mı?",
    taken: "Bu e-posta adresiyle açılmış bir hesap var. Buradan giriş yapın.",
    tooMany: (minutes) => `Çok fazla deneme yapıldı. ${number(minutes)} dakika sonra yeniden deneyin.`,
    checkEmail: "E-postanıza bakın",
    confirmationSent: (email) =>
      `${email} adresine bir doğrulama bağlantısı gönderdik. Bağlantı bir saat geçerlidir.`,
    noMail: "Bu sunucu e-posta gönderemiyor. Parolanızı sıfırlamak için desteğe başvurun.",
    reset: "Parolanızı sıfırlayın",
    resetHint: "Size e-postayla bir bağlantı göndereceğiz. Bağlantı bir saat geçerlidir.",
    sendLink: "Bağlantı gönder",
    resetSent: (email) =>
      `${email} adresiyle açılmış bir hesap varsa, yeni parola seçmek için bir bağlantı gönderdik. Bağlantı bir saat geçerlidir.`,
    choose: "Yeni parola seçin",
    change: "Parolayı değiştir",
    changed: "Parola değiştirildi",
    signInAgain: "giriş yapın",
    signedOut: (signIn) => <>Tüm cihazlarda oturumunuz kapatıldı. Yeni parolanızla {signIn}.</>,
  },

  status: {
    queued: "Sırada",
    processing: "Oluşturuluyor",
    succeeded: "Hazır",
    failed: "Başarısız",
    canceled: "İptal edildi",
  },
  failures: {
    generationFailed: "Görseller oluşturulamadı. Krediler iade edildi.",
    contentPolicyViolation:
      "Sağlayıcı, istemi veya bir referans görseli içerik politikası nedeniyle reddetti. Krediler iade edildi.",
    unreadableReference: "Sağlayıcı bir referans görseli okuyamadı. Krediler iade edildi.",
  },

  parts: {
    select: (prompt) => `Seç: ${prompt}`,
    noCredits: "Krediniz yok.",
    noCreditsHow: (get, docs) => (
      <>
        Görsel oluşturmak için {get}. Bu arada API anahtarı oluşturabilir veya {docs} okuyabilirsiniz.
      </>
    ),
    buyPack: "kredi paketi satın alın",
    contactSupport: (email) => `desteğe başvurup ${email} hesabına kredi ekletin`,
    theDocumentation: "belgeleri",
    allImages: "Tüm görseller",
    recentImages: "Son görseller",
    generateImage: "Görsel oluştur",
    cancel: "Vazgeç",
    save: "Kaydet",
    live: "Canlı",
    test: "Test",
    left: (amount) => <>{amount} kaldı</>,
    balanceLeft: (amount) => (
      <>
        {amount} <span>kredi kaldı</span>
      </>
    ),
  },

  overview: {
    welcome: "Hoş geldiniz",
    ready: "Hesabınız hazır.",
    readyNext: "Buradan görsel oluşturun veya bir API anahtarı alın.",
    balance: "Bakiye",
    credit: () => "kredi",
    accountType: (type) => `${type} hesap`,
    getStarted: "Başlayın",
    createKey: "API anahtarı oluştur",
    expiring: "Süresi dolacak krediler",
    noneExpires: "Süresi dolacak krediniz yok.",
    on: (date, days) => `${date}, ${days < 1 ? "bir gün içinde" : `${number(days)} gün sonra`}`,
    allCredits: "Tüm krediler",
    noImages: "Henüz görsel yok.",
    firstImage: "İlk görselinizi oluşturun",
  },

  playground: {
    prompt: "İstem",
    forExample: (prompt) => `Örneğin: ${prompt}`,
    examplePrompt: "alacakaranlıkta bir deniz feneri",
    references: "Referans görseller",
    referencesHint: "Dosya seçin veya görselleri buraya bırakın ya da yapıştırın.",
    labels: {
      model: "Model",
      aspect_ratio: "En boy oranı",
      resolution: "Çözünürlük",
      quality: "Kalite",
      n: "Görsel sayısı",
      output_format: "Biçim",
      output_compression: "Sıkıştırma kalitesi",
      background: "Arka plan",
      moderation: "Denetim",
    },
    exactSize: "Tam boyut verildiğinde çözünürlük dikkate alınmaz.",
    youHave: (amount) => <>Bakiyeniz: {amount}.</>,
    getCredits: "Kredi al",
    priceDepends: (prices) => <>Fiyat; modele, çözünürlüğe ve görsel sayısına göre değişir: {prices}.</>,
    seePrices: "fiyatlara bakın",
    generate: "Oluştur",
    result: "Sonuç",
    running: "Bir oluşturma sürüyor.",
    openGeneration: "Oluşturmayı aç",
    appearsHere: "Görseliniz burada görünecek.",
    code: "Kod",
    codeHint: (key) => (
      <>
        Çalıştırmak için <code>GIH_KEY</code> ortam değişkenine bir {key} atayın. Sonuncusu için{" "}
        <code>pip install openai</code> gerekir.
      </>
    ),
    apiKey: "API anahtarı",
    language: "Dil",
    request: "İstek",
    price: (price, images, size) => `${number(images)} görsel için ${credits(price)}, ${size}`,
    automaticSize: "otomatik boyut",
    earlierReferences: (count) =>
      `Önceki oluşturmada ${number(count)} referans görsel vardı. Referanslar saklanmaz: yeniden ekleyin.`,
    earlierPrompt: (most) =>
      `İstemlerin yalnızca ilk ${number(most)} karakteri saklanır. İsteminizin eksiksiz olduğuna bakın.`,
    enterPrompt: "Bir istem girin.",
    promptTooLong: (most) => `İstem en çok ${number(most)} karakter olabilir.`,
    noModel: "Böyle bir model yok.",
    notEnough: (required, available) =>
      `Krediniz yetersiz: bunun fiyatı ${credits(required)}, bakiyeniz ${credits(available)}.`,
    unavailable: "Hizmet şu an kullanılamıyor. Ücret alınmadı. Yeniden deneyin.",
    rateLimited: (seconds) => `Hız sınırına ulaştınız. ${number(seconds)} saniye sonra yeniden deneyin.`,
    alreadySent: "Bu form daha önce başka değerlerle gönderildi. Sayfayı yenileyin.",
    wasDeleted: "Bu formun görseli silindi. Sayfayı yenileyin.",
    unknown: "Hesabınız yanıt vermedi. Formu yeniden gönderin: bir kez ücretlendirilir.",
    noImage: "Böyle bir görsel yok.",
    referenceNeeds: (required, available) =>
      `Referans eklemek için bir görsele yetecek kredi gerekir: ${number(required)}. Bakiyeniz ${credits(available)}.`,
    tooManyUploads: (seconds) => `Çok fazla yükleme. ${number(seconds)} saniye sonra yeniden deneyin.`,
    referencesFull: "Bugün çok fazla referans yüklediniz. Her biri 24 saat sonra silinir.",
    noAnswer: "Hesabınız yanıt vermedi. Yeniden deneyin.",
    badOption: (label) =>
      `“${label}” için seçtiğiniz değer bu modelde veya öbür seçeneklerle birlikte kullanılamıyor. Başka bir değer seçin.`,
    badReference: () =>
      "Referans görsellerden biri kullanılamıyor: silinmiş, 24 saatten eski veya bu model için fazla olabilir. Kaldırıp yeniden ekleyin.",
    badFile: () =>
      "Bu dosya kullanılamıyor: bozulmamış bir PNG, JPEG veya WebP görseli olmalı, en çok 50 MB.",
    uploadFailed: () => "Yükleme tamamlanamadı. Yeniden deneyin.",
  },

  scripts: {
    copied: "Kopyalandı",
    notCopied: "Kopyalanamadı",
    queued: "Sırada",
    generating: "Oluşturuluyor",
    seconds: "{seconds} sn",
    retrying: "Bağlantı yok. Yeniden deneniyor…",
    sending: "Gönderiliyor…",
    sent: "Gönderildi",
    openGeneration: "Oluşturmayı aç",
    lostTrack: "Bu oluşturmanın durumu alınamıyor.",
    seeReceipt: "Makbuza bak",
    loadingImages: "Görseller yükleniyor",
    receiptAndSettings: "Makbuz ve ayarlar",
    imagesReady: "Görseller hazır.",
    cancelAndRefund: "İptal et ve iade al",
    noResponse: "Yanıt gelmedi. Formu yeniden gönderin: değiştirmezseniz bir kez ücretlendirilir.",
    seeImages: "Görsellerinize bakın",
    pastedImage: "Yapıştırılan görsel",
    earlierImage: "Önceki görsel",
    noReferences: "Bu model referans görsel almaz.",
    upToReferences: "En çok {most}. Dosya seçin veya görselleri buraya bırakın ya da yapıştırın.",
    uploadFailed: "Yüklenemedi. Yeniden deneyin.",
    remove: "Kaldır",
    removeNamed: "Kaldır: {name}",
    oneCredit: "{count} kredi",
    credits: "{count} kredi",
    left: "{credits} kaldı",
  },

  history: {
    noMatch: "Eşleşen görsel yok.",
    none: "Görsel yok.",
    showAll: "Tüm görselleri göster",
    newest: "En yeni",
    older: "Daha eski",
    searched: (rows) => `Bir sayfa ${number(rows)} oluşturmada arama yapar.`,
    download: "Seçilenleri indir (zip)",
    searchPrompts: "İstemlerde ara",
    search: "Ara",
    filters: "Filtreler",
    status: "Durum",
    model: "Model",
    key: "Anahtar",
    mode: "Mod",
    from: "Başlangıç",
    to: "Bitiş",
    all: "Tümü",
    utc: "Günler UTC'ye göredir.",
    selectOne: "Önceki sayfada en az bir görsel seçin.",
    selectMost: (most) => `En çok ${most} görsel seçin.`,
    noImages: "Seçilenlerde görsel yok.",
  },

  generation: {
    canceled: "İptal edildi. Krediniz iade edildi.",
    wholePrompt: "İstemin tamamını göster",
    promptKept: (most) => `Yalnızca ilk ${number(most)} karakter saklanır.`,
    lostTrack: "Bu oluşturmanın durumu alınamıyor.",
    reload: "Sayfayı yenileyin",
    copyPrompt: "İstemi kopyala",
    usePrompt: "Bu istemi yeniden kullan",
    image: (at) => ` (görsel ${at})`,
    download: "İndir",
    copyLink: "Bağlantıyı kopyala",
    asReference: "Referans olarak kullan",
    vary: "Çeşitle",
    cancel: "İptal et ve iade al",
    delete: "Sil",
    deleteHint:
      "İstem ve görseller kalıcı olarak silinir. Görsellerin bağlantıları çalışmaz olur. Ücret hesap dökümünüzde kalır.",
    deleteButton: "Bu oluşturmayı sil",
    settings: "Ayarlar",
    status: "Durum",
    mode: "Mod",
    model: "Model",
    size: "Boyut",
    automatic: "Otomatik",
    chosen: "(otomatik)",
    aspectRatio: "En boy oranı",
    resolution: "Çözünürlük",
    quality: "Kalite",
    images: "Görsel sayısı",
    format: "Biçim",
    references: "Referanslar",
    created: "Oluşturulma",
    id: "Kimlik",
    receipt: "Makbuz",
    charged: "Ücret",
    refunded: "İade",
    reserved: "Ayrılan",
    paid: "Ödenen",
    ended: "Bitiş",
  },

  webhooks: {
    secret: "Webhook gizli anahtarı",
    verifies: (standard) => (
      <>
        Oluşturmalarınızın webhook'larını {standard} kurallarıyla doğrular. Test anahtarlarının webhook'ları
        için ayrı bir gizli anahtar vardır; onu test anahtarıyla <code>GET /api/v1/webhooks/secret</code>{" "}
        döndürür.
      </>
    ),
    show: "Gizli anahtarı göster",
    previous: (until) => <>Bir önceki gizli anahtar şu ana kadar imzalamayı sürdürür: {until}.</>,
    replace: "Gizli anahtarı yenile",
    both: "24 saat boyunca webhook'lar iki anahtarla da imzalanır.",
    webhook: "Webhook",
    deliveries: "Webhook gönderimleri",
    attempt: "Deneme",
    sent: "Gönderim",
    answer: "Yanıt",
    next: "Sonraki deneme",
    noAnswer: "Yanıt yok",
    noConnection: "Bağlantı yok",
    none: "Yok",
    again: "Yeniden gönder",
    notSent: "Bu oluşturmanın gönderilebilecek bir webhook'u yok.",
  },

  keys: {
    lead: (testKeys) => (
      <>
        Her uygulama için ayrı bir anahtar kullanın; böylece her birini ayrı ayrı iptal edebilirsiniz. Test
        anahtarı kredi harcamaz: {testKeys}.
      </>
    ),
    testKeys: "test anahtarlarına bakın",
    none: "Henüz anahtarınız yok.",
    list: "Anahtarlarınız",
    more: "Diğer anahtarlar",
    name: "Ad",
    mode: "Mod",
    expires: "Geçerlilik süresi",
    lifetimes: { never: "Süresiz", 7: "7 gün", 30: "30 gün", 90: "90 gün", 365: "1 yıl" },
    limits: "Yetkilerini ve harcamasını sınırla",
    create: "Anahtar oluştur",
    nameMissing: "Bu anahtara bir ad verin.",
    nameTooLong: (most) => `Ad en çok ${most} karakter olabilir.`,
    modeMissing: "Canlı veya Test seçin.",
    lifetimeMissing: "Anahtarın geçerlilik süresini seçin.",
    again: "API anahtarları sayfasını yenileyip anahtarı yeniden oluşturun.",
    tooMany: (most) => `${most} etkin anahtarınız var. Gerekmeyen birini iptal edin.`,
    unknown: "Böyle bir anahtar yok.",
    neverUsed: "Hiç kullanılmadı",
    lastUsed: (day) => <>Son kullanım: {day}</>,
    created: (day) => <>oluşturulma: {day}</>,
    neverExpires: "süresiz",
    willExpire: (day) => <>son geçerlilik: {day}</>,
    hasExpired: (day) => <>süresi doldu: {day}</>,
    revoked: "İptal edildi",
    expired: "Süresi doldu",
    change: "Düzenle",
    revoke: "İptal et",
    changeTitle: "Anahtarı düzenle",
    changeHeading: (name) => `“${name}” anahtarını düzenleyin`,
    changeHint: (key) => <>Değişiklikler {key} anahtarının bir sonraki isteğinden itibaren geçerlidir.</>,
    revokeTitle: "Anahtarı iptal et",
    revokeHeading: (name) => `“${name}” iptal edilsin mi?`,
    revokeHint: (key) => (
      <>{key} anahtarını kullanan uygulamalar hemen çalışmaz olur. Bu işlem geri alınamaz.</>
    ),
    revokeKey: "Anahtarı iptal et",
    wasRevoked: "Anahtar iptal edildi. Bu anahtarı kullanan uygulamalar artık çalışmaz.",
    existsTitle: "Anahtar zaten oluşturuldu",
    existsHeading: (name) => `“${name}” anahtarı zaten oluşturuldu`,
    existsHint: (key) => (
      <>
        Bu form {key} anahtarını oluşturdu; bu yüzden ikinci bir anahtar oluşturulmadı. Anahtar yalnızca bir
        kez gösterilir. Kaydetmediyseniz iptal edip yenisini oluşturun.
      </>
    ),
    goToKeys: "Anahtarlarınıza gidin",
    revokeThis: "Bu anahtarı iptal et",
    newTitle: "Yeni anahtarınız",
    newHeading: (name) => `Yeni anahtarınız: “${name}”`,
    copyNow: "Şimdi kopyalayın.",
    seenOnce: "Anahtarı bir daha göremezsiniz.",
    done: "Tamam",
    tryIt: "Deneyin",
    tryHint: (
      <>
        Anahtarı <code>GIH_KEY</code> ortam değişkenine koyup şunu çalıştırın:
      </>
    ),
    sample: "Örnek istek",
  },

  terms: {
    scopes: {
      generate: "Görsel oluşturma",
      read: "Görselleri, kredileri ve kullanımı okuma",
    },
    periods: { day: "Günlük (UTC)", month: "Aylık (UTC)", total: "Toplam" },
    allowed: "Yetkiler",
    allowOne: "En az bir yetki seçin.",
    models: "Yalnızca bu modeller (hiçbiri: tümü)",
    limit: "Harcama sınırı",
    credits: "Kredi",
    empty: "Boş: sınırsız.",
    period: "Dönem",
    periodMissing: "Bir dönem seçin.",
    notANumber: "Kredi sayısını tam sayı olarak girin veya boş bırakın.",
    outOfRange: (most) => `1 ile ${number(most)} arasında bir sayı girin veya boş bırakın.`,
    spent: (spent) => `Harcanan: ${credits(spent)}`,
    spentOf: (spent, limit, period) => {
      const periods = { day: "bugün", month: "bu ay", total: "toplam" };
      return `Harcanan (${periods[period]}): ${number(spent)} / ${credits(limit)}`;
    },
    onlyScopes: (scopes) => `yalnızca: ${scopes}`,
    onlyModels: (models) => `yalnızca ${models}`,
  },

  credit: {
    grants: "Tanımlanan krediler",
    transactions: "Hareketler",
    older: "Daha eski hareketler",
    none: "Henüz yok.",
    source: "Kaynak",
    remaining: "Kalan",
    total: "Toplam",
    granted: "Tanımlanma",
    expires: "Son geçerlilik",
    never: "süresiz",
    expired: "(süresi doldu)",
    unnamed: "Kredi",
    signup: "Hoş geldiniz hediyesi",
    type: "Tür",
    credits: "Kredi",
    balanceAfter: "Sonraki bakiye",
    date: "Tarih",
    kinds: {
      grant: "Kredi tanımlandı",
      charge: "Ücret",
      refund: "İade",
      expiry: "Süresi doldu",
      reversal: "Geri alındı",
    },
  },

  usage: {
    daily: "Günlük kullanım",
    show: "Kullanımı göster",
    byModel: "Modele göre",
    byKey: "Anahtara göre",
    asTable: "Tablo olarak",
    usage: "Kullanım",
    day: "Gün",
    key: "Anahtar",
    model: "Model",
    credits: "Kredi",
    notKnown: "Bilinmiyor",
    others: (count) => `diğer ${count}`,
    download: "Bir yılı CSV olarak indir",
    chart: (days, total) => `Son ${days} günde harcanan toplam kredi: ${number(total)}.`,
  },

  buying: {
    notOnSale: "Bu paket satışta değil.",
    failed: "Ödeme sayfası açılamadı. Ücret alınmadı. Birazdan yeniden deneyin.",
    buyCredits: "Kredi satın al",
    noneOnSale: (email) =>
      `Bu sitede çevrimiçi kredi satılmıyor. ${email} hesabına kredi eklenmesi için desteğe başvurun.`,
    testMoney: "Test modu.",
    testMoneyHint: "Bu sitedeki ödemelerde gerçek para kullanılmaz.",
    credits: "kredi",
    perThousand: (money) => `1.000 kredi başına ${money}`,
    neverExpire: "Kredilerin süresi dolmaz.",
    lastDays: (days) => `Krediler ${days} gün geçerlidir.`,
    buy: "Satın al",
    buyNamed: (pack) => `Satın al: ${pack}`,
    added: (count) => `Teşekkürler. ${credits(count)} eklendi.`,
    wasRefunded: "Bu satın alma iade edildi.",
    paymentFailed: "Ödeme başarısız oldu. Ücret alınmadı.",
    awaited: "Ödeme bekleniyor. Ödeme gelince krediler eklenir.",
    left: "Ödeme sayfasından ayrıldınız. Ücret alınmadı.",
    purchases: "Satın almalar",
    pack: "Paket",
    amount: "Kredi",
    price: "Fiyat",
    status: "Durum",
    date: "Tarih",
    receipt: "Makbuz",
    receiptFor: (pack) => `Makbuz: ${pack}`,
    noReceipt: "Makbuz yok.",
    receiptLater: "Makbuz şu an alınamıyor. Birazdan yeniden deneyin.",
    paid: "Ödendi",
    paidPart: (back) => `Ödendi, ${back} iade edildi`,
    disputed: "İtiraz edildi",
    refunded: "İade edildi",
    waiting: "Ödeme bekleniyor",
    failedStatus: "Başarısız",
    notPaid: "Ödenmedi",
  },

  settings: {
    passwordChanged: "Parola değiştirildi. Diğer tüm cihazlarda oturumunuz kapatıldı.",
    linkSent:
      "Yeni posta kutunuza bakın. E-posta adresinizi değiştiren bir bağlantı gönderdik. Bağlantı bir saat geçerlidir.",
    sessionEnded: "Oturum kapatıldı. O cihazda yeniden giriş yapılması gerekir.",
    account: "Hesap",
    email: "E-posta",
    accountType: "Hesap türü",
    password: "Parola",
    currentPassword: "Şimdiki parola",
    newPassword: "Yeni parola",
    passwordHint: (least) => `En az ${least} karakter.`,
    changePassword: "Parolayı değiştir",
    enterCurrent: "Şimdiki parolanızı girin.",
    wrongCurrent: "Şimdiki parolanız bu değil.",
    withoutPassword: "GitHub veya Google ile giriş yapıyorsunuz.",
    addPassword: (request) => <>Parola eklemek için {request}.</>,
    requestLink: "e-postayla bağlantı isteyin",
    sessions: "Açık oturumlar",
    thisDevice: "Bu cihaz",
    sinceAndLastUsed: (since, lastUsed) => (
      <>
        {since} tarihinden beri, son kullanım {lastUsed}
      </>
    ),
    endSession: "Oturumu kapat",
    noSession: "Böyle bir oturum yok. Kapatılmış olabilir.",
    signOutEverywhere: "Tüm cihazlarda çıkış yap",
    device: (browser, system) => `${browser}, ${system}`,
    unknownBrowser: "Bilinmeyen tarayıcı",
    unknownSystem: "bilinmeyen sistem",
  },

  emailChange: {
    change: "E-postayı değiştir",
    newEmail: "Yeni e-posta adresi",
    yourPassword: "Parolanız",
    hint: "Yeni adrese bir bağlantı, şimdiki adrese bir bildirim göndeririz.",
    same: "Bu zaten sizin e-posta adresiniz.",
    wrongPassword: "Parolanız bu değil.",
    notRecent: (minutes) =>
      `Çıkış yapıp yeniden giriş yapın, ardından ${minutes} dakika içinde adresinizi değiştirin.`,
    noMail: "Bu sunucu e-posta gönderemiyor. Adresinizi değiştirmek için desteğe yazın.",
    confirm: "Yeni e-posta adresinizi doğrulayın",
    useThis: "Bu adresi kullan",
    changed: "E-posta adresi değiştirildi",
    signInWith: (email) => `Bundan sonra ${email} ile giriş yapın. Oturumlarınız açık kalır.`,
    yourAccount: "Hesabınız",
  },

  notices: {
    emails: "E-postalar",
    lowBalance: "Bakiyem şunun altına düşünce haber ver",
    lowBalanceHint: (email) =>
      `${email} adresine bir e-posta gönderilir; yenisi ancak bakiye bir kez üstüne çıktıktan sonra. İstemiyorsanız boş bırakın.`,
    expiring: "Kredilerin süresi 7 gün içinde dolacaksa haber ver",
    rule: (most) => `1 ile ${number(most)} arasında bir tam sayı girin veya boş bırakın.`,
  },

  leaving: {
    data: "Verileriniz",
    dataHint:
      "Hesabınız, gizli kısımları olmadan API anahtarlarınız, satın almalarınız, hesap dökümünüz ve istemleri ile görsel bağlantılarıyla oluşturmalarınız; her satırda bir JSON nesnesi olarak.",
    download: "Verilerimi indir",
    delete: "Hesabı sil",
    deleteHint:
      "API anahtarlarınız hemen çalışmaz olur ve tüm cihazlarda oturumunuz kapatılır. Görselleriniz, istemleriniz ve oluşturmalarınız dakikalar içinde silinir; kalan krediler kaybolur. Kredilerinizin dökümünü adınız ve adresiniz olmadan saklarız. Bu işlem geri alınamaz.",
    yourPassword: "Parolanız",
    yourEmail: "E-posta adresiniz",
    confirm: (email) => `Onaylamak için ${email} yazın.`,
    deleteButton: "Hesabımı sil",
    wrongPassword: "Parolanız bu değil.",
    wrongEmail: "E-posta adresiniz bu değil.",
    deleted: "Hesap silindi",
    deletedHint: "API anahtarlarınız artık çalışmıyor. Görselleriniz dakikalar içinde silinir.",
  },

  mails: {
    reset: (link) => ({
      subject: "Yeni parola seçin",
      text: `GPT Image Hub için yeni parolanızı seçin:\n\n${link}\n\nBağlantı bir saat geçerlidir. Bunu siz istemediyseniz bu e-postayı dikkate almayın.`,
    }),
    verify: (link) => ({
      subject: "E-posta adresinizi doğrulayın",
      text: `GPT Image Hub için e-posta adresinizi doğrulayın:\n\n${link}\n\nBağlantı bir saat geçerlidir. Hesabı siz açmadıysanız bu e-postayı dikkate almayın.`,
    }),
    known: (link) => ({
      subject: "Zaten bir hesabınız var",
      text: `Birisi, muhtemelen siz, bu e-posta adresiyle GPT Image Hub'da hesap açmaya çalıştı; ama bu adresle açılmış bir hesap zaten var. Giriş yapın veya parolanızı sıfırlayın:\n\n${link}`,
    }),
    newEmail: (link) => ({
      subject: "Yeni e-posta adresinizi doğrulayın",
      text: `Bunun GPT Image Hub için yeni e-posta adresiniz olduğunu doğrulayın:\n\n${link}\n\nBağlantı bir saat geçerlidir. Bunu siz istemediyseniz bu e-postayı dikkate almayın.`,
    }),
    emailChange: (newEmail, settingsLink) => ({
      subject: "E-posta adresiniz değiştirilmek üzere",
      text: `Birisi, muhtemelen siz, GPT Image Hub hesabınızın e-posta adresini ${newEmail} olarak değiştirmek istedi. Değişiklik o adresten onaylanınca geçerli olur.\n\nBunu siz istemediyseniz bir saat içinde parolanızı değiştirin veya sıfırlayın; bu, değişikliği iptal eder:\n\n${settingsLink}`,
    }),
    emailTaken: () => ({
      subject: "Zaten bir hesabınız var",
      text: "Birisi, muhtemelen siz, bir GPT Image Hub hesabının e-posta adresini bu adres olarak değiştirmeye çalıştı; ama bu adresle açılmış bir hesap zaten var. Hiçbir şey değiştirilmedi.",
    }),
  },
};

import type { Guide } from "./guide.ts";

export const turkish: Guide = {
  lang: "tr",
  name: "Türkçe",
  path: "/tr/docs",
  page: {
    skip: "İçeriğe geç",
    docs: "Belgeler",
    reference: "API başvurusu",
    changelog: "Değişiklikler",
    terms: "Kullanım koşulları",
    privacy: "Gizlilik",
    support: "Destek",
    status: "Durum",
    signIn: "Giriş yap",
    signUp: "Hesap aç",
    footer: "Ön ödemeli kredi. Teslim edilmeyenin kredisi kendiliğinden iade edilir.",
    main: "Ana menü",
  },
  title: "API belgeleri",
  description:
    "HTTP üzerinden görsel oluşturma: GPT Image Hub'ın kimlik doğrulaması, istekleri, fiyatları, hataları ve sınırları.",
  lead: "Görsel oluşturun, modelleri listeleyin, bakiyenizi okuyun, oluşturduklarınızı bulun: birkaç adres, JSON gider JSON gelir, tek anahtar.",
  contents: "Bu sayfada",
  sections: {
    start: "Hızlı başlangıç",
    authentication: "Kimlik doğrulama",
    models: "Modeller",
    generate: "Görsel oluşturma",
    fields: "İstek alanları",
    sizes: "Boyutlar ve fiyatlar",
    references: "Referans görseller",
    async: "Sonucu bekleme",
    webhooks: "Webhook'lar",
    read: "Oluşturmayı okuma",
    list: "Oluşturmaları listeleme",
    delete: "İptal ve silme",
    idempotency: "İsteği güvenle yineleme",
    credits: "Krediler",
    cost: "Harcamayı sınırlama",
    openai: "OpenAI kitaplıkları",
    client: "TypeScript istemcisi",
    "test-keys": "Test anahtarları",
    errors: "Hatalar",
    retries: "Yeniden deneme",
    "rate-limits": "Hız sınırları",
    limits: "Sınırlar",
  },
  headings: {
    saving: "Görseli kaydetme",
    waiting: "Belirli bir süre bekleme",
    polling: "Durumu sorma",
    events: "Olayları izleme",
    verifying: "Webhook'u doğrulama",
    commands: "Komut satırı",
  },
  steps: [
    <>
      Bir <a href="/sign-up">hesap açın</a>, ardından hesabınızdaki API anahtarları sayfasında bir anahtar
      oluşturun. Anahtar yalnızca bir kez gösterilir; programınızın bulacağı güvenli bir yere kaydedin.
      Örnekler anahtarı <code>GIH_KEY</code> ortam değişkeninden okur.
    </>,
    <>Anahtarla birlikte bir istem gönderin. Yanıtta görsellerin adresleri bulunur.</>,
    <>Uzun sürecek işlerde yanıtı hemen isteyin, sonucu daha sonra okuyun.</>,
  ],
  authentication: [
    <>
      Anahtarı her istekte Bearer belirteci olarak gönderin; yalnızca model listesi herkese açıktır. Sunucu
      anahtarın kendisini değil, karmasını saklar. Bu yüzden kaybolan bir anahtar yeniden gösterilemez: iptal
      edip yenisini oluşturun. İptal edilen veya süresi dolan anahtar, bir sonraki istekte reddedilir.
    </>,
  ],
  models: [
    <>
      Liste, her modelin neler yapabildiğini ve kaç krediye mal olduğunu, isteklerde kullanılan adlarla verir.
      Anahtar gerektirmez. Modelde bulunmayan bir değer, en yakın geçerli değer belirtilerek reddedilir.
    </>,
  ],
  generate: [
    <>
      Çağrı, görseller hazır olana kadar bekler. Krediler sağlayıcıya başvurulmadan önce düşülür; sağlayıcının
      teslim etmediği kısım kendiliğinden, tamamen başarısız olursa tümü iade edilir. Bağlantınız koparsa iş
      sürer: görseller saklanır, oluşturma kimliğiyle bulunur.
    </>,
    <>
      Bir görselin adresi değişmez ve anahtar istemez, ama tahmin edilemez. Adresi bilen herkes görseli
      görebilir.
    </>,
  ],
  saving: [
    <>
      Görseli <code>url</code> adresinden, herhangi bir HTTP istemcisiyle ve anahtarsız indirin:
    </>,
  ],
  sizes: ({ multiple, elongationMax, pixelsMin }) => [
    <>
      <code>size</code> alanını <code>GENİŞLİKxYÜKSEKLİK</code> biçiminde verin. Bazı modeller her boyutu
      kabul eder: kenarların ikisi de {multiple} sayısının katı olmalı, uzun kenar kısa kenarın en çok{" "}
      {elongationMax} katı olmalı ve görsel toplam en az {pixelsMin} piksel olmalıdır. Diğerleri yalnızca
      tablolarındaki boyutları kabul eder. Kurala uymayan boyut, en yakın geçerli boyut belirtilerek
      reddedilir. <code>auto</code>, modelin varsayılan değerleri demektir.
    </>,
    <>Bir görselin fiyatını çözünürlüğü belirler; en boy oranı ve kalitesi fiyatı değiştirmez:</>,
  ],
  references: ({ most, megabytes }) => [
    <>
      İsteği <code>multipart/form-data</code> olarak, <code>reference_image</code> adıyla en çok {most}{" "}
      dosyayla gönderin: PNG, JPEG veya WebP, her biri en çok {megabytes} MB. Bu dosyalar kimseye gösterilmez
      ve oluşturma bitince silinir.
    </>,
    <>
      JSON isteğinde referanslar <code>reference_images</code> listesinde verilebilir: https adresleri,{" "}
      <code>data:image/…;base64,</code> adresleri ve son 24 saatte <code>POST /api/v1/references</code> ile
      yüklenen görsellerin kimlikleri (<code>ref_…</code>). Bir adresteki görsel, ücret alınmadan önce
      indirilir.
    </>,
  ],
  async: [
    <>
      <code>async</code> verildiğinde yanıt 202 koduyla hemen gelir; içinde oluşturma kimliği ve nereye
      bakılacağını söyleyen <code>poll_url</code> vardır. Ne zaman bakılacağını <code>Retry-After</code>{" "}
      başlığı bildirir.
    </>,
    <>
      Durum <code>queued</code> ile başlar, <code>processing</code> ile sürer, <code>succeeded</code> veya{" "}
      <code>failed</code> ile biter.
    </>,
  ],
  waiting: ({ waitSeconds }) => [
    <>
      <code>Prefer: wait=30</code> başlığıyla yanıt, oluşturma bitince gelir: görseller 200 koduyla, 30
      saniyede bitmezse yukarıdaki yanıt. 1 ile {waitSeconds} saniye arasında bekleyebilirsiniz.
    </>,
  ],
  polling: [
    <>
      Durum <code>queued</code> veya <code>processing</code> olmaktan çıkana kadar <code>poll_url</code>{" "}
      adresini okuyun. <code>Prefer: wait=N</code> (1–60 saniye) ile her istek oluşturmanın bitmesini bekler;
      böylece az istekle, sonucu hemen alırsınız.
    </>,
  ],
  events: [
    <>
      Akış, oluşturmanın tamamını içeren bir <code>generation</code> olayını hemen ve durum her değiştiğinde
      gönderir; oluşturma bitince kapanır. Bağlantı koparsa yeniden açın.
    </>,
  ],
  webhooks: [
    <>
      <code>webhook_url</code> verilirse oluşturma bitince sunucunuza <code>POST</code> ile gönderilir. 15
      saniye içinde 2xx koduyla yanıt verin. Yanıt gelmezse 28 saat boyunca aynı <code>webhook-id</code> ile
      yeniden denenir.
    </>,
    <>
      <code>GET /api/v1/generations/:id/deliveries</code> denemeleri ve sonuçlarını listeler; aynı adrese{" "}
      <code>POST</code>, webhook'u yeniden gönderir.
    </>,
  ],
  verifying: [
    <>
      Her webhook, webhook anahtarınızla imzalanır. Bu anahtarı aşağıdaki ilk istek verir,{" "}
      <a href="/account/settings">ayarlar sayfası</a> da gösterir. İstemci imzayı ve zamanı doğrular, olayı
      döndürür. Başka bir <a href="https://www.standardwebhooks.com/">Standard Webhooks</a> kitaplığı da
      kullanabilirsiniz. Gövdeyi ayrıştırmadan önce, geldiği haliyle doğrulayın.
    </>,
  ],
  read: [
    <>
      Bir oluşturmayı görselleriyle birlikte verir; bugün de, bir yıl sonra da. Yalnızca anahtarın sahibine
      ait oluşturmalar bulunur.
    </>,
  ],
  list: [
    <>
      Oluşturmalar yeniden eskiye doğru listelenir: sayfa başına 20, ya da <code>limit</code> (1–100) kadar.
      Sonraki sayfa için <code>next_cursor</code> değerini <code>cursor</code> olarak gönderin. Son sayfada
      null olur.
    </>,
    <>
      Listeyi <code>status</code>, <code>model</code>, <code>created_after</code>, <code>created_before</code>{" "}
      (ISO 8601), <code>idempotency_key</code> ve kendi etiketlerinizle süzün:{" "}
      <code>metadata[project]=website</code>. Bir sayfada <code>limit</code> değerinden az oluşturma
      bulunabilir; <code>next_cursor</code> null olana kadar sürdürün.
    </>,
  ],
  delete: [
    <>
      Sırada bekleyen (<code>queued</code>) bir oluşturma iptal edilebilir; kredisinin tamamı iade edilir.
      Sağlayıcıya başvurulduktan sonra yanıt 409 <code>notCancelable</code> olur.
    </>,
    <>
      Bitmiş bir oluşturma, görselleri ve istemiyle birlikte silinebilir. Yanıt gövdesiz bir 204'tür; artık
      oluşturma da görsellerinin adresleri de 404 verir. Silinenin kredisi iade edilmez ve silme geri
      alınamaz. Tarayıcılar ve CDN'ler kopyaları bir süre saklayabilir.
    </>,
  ],
  idempotency: [
    <>
      Yanıt kaybolursa kredi düşülüp düşülmediğini bilemezsiniz. <code>Idempotency-Key</code> başlığıyla bir
      tekrar anahtarı gönderin ve isteği dilediğiniz kadar yineleyin: tek oluşturma yapılır, tek ücret alınır.
      Anahtar, seçtiğiniz 1–255 görünür ASCII karakteridir; örneğin bir sipariş numarası.
    </>,
    <>
      Yinelenen istek ilk oluşturmayı, <code>Idempotent-Replayed: true</code> başlığıyla verir. Oluşturma
      sürüyorsa istek onu bekler, eşzamansızsa 202 alır. Aynı anahtar farklı bir istekle gönderilirse yanıt
      422 <code>idempotencyMismatch</code> olur.
    </>,
    <>
      Anahtar, oluşturma bittikten sonra 24 saat saklanır. Oluşturma başarısız olduysa yinelenen istek de aynı
      hatayı alır: yeniden denemek için yeni bir anahtar kullanın. 400, 402, 429 veya 503 ile reddedilen istek
      anahtarını harcamaz.
    </>,
  ],
  credits: [
    <>
      Krediler önceden ödenir. Süresi en erken dolacak olan önce kullanılır; sıradaki bitiş zamanını{" "}
      <code>next_expiration</code> söyler. Bakiye her an kesindir.
    </>,
    <>
      Bu sitede satılıyorsa, kredi paketlerini <a href="/account/credits">Krediler sayfasından</a> alırsınız.
    </>,
  ],
  cost: [
    <>
      <code>POST /api/v1/images/estimate</code> bir isteğin gövdesini alır; fiyatını veya aynı hatayı verir.
      Kredi düşmez.
    </>,
    <>
      İstekteki <code>max_credits</code>, daha pahalıya çıkacak isteği 400 ile reddeder.
    </>,
    <>
      Bir anahtara günlük, aylık veya toplam kredi sınırı koyabilir, onu bazı modellerle ya da okumayla
      sınırlayabilirsiniz. Bunları <a href="/account/keys">API anahtarları sayfasında</a> ayarlayın. Anahtarın
      harcadığını <code>GET /api/v1/key</code> bildirir. Sınır aşılırsa yanıt 402{" "}
      <code>keyLimitExceeded</code> olur.
    </>,
    <>
      <code>metadata</code>, isteği kendi verilerinizle etiketler. Harcamaların dökümünü{" "}
      <code>GET /api/v1/usage?group_by=day,key,model</code> verir.
    </>,
  ],
  openai: [
    <>
      OpenAI'ın görsel API'si için yazılmış programlar, yalnızca temel adres ve anahtar değiştirilerek
      çalışır: oluşturma, düzenleme ve kısmi görselli akışlar. Kitaplığı <code>pip install openai</code> veya{" "}
      <code>npm install openai</code> ile kurun. Kitaplık bir isteği yeniden denerse bir kez ücret alınır.
    </>,
    <>
      Birçok program bu iki ayarı <code>OPENAI_BASE_URL</code> ve <code>OPENAI_API_KEY</code> değişkenlerinden
      okur. Görseller base64 olarak, <code>response_format</code> ile istenirse adres olarak gelir:
    </>,
  ],
  client: [
    <>
      <code>gpt-image-hub</code> adlı npm paketinde Node, tarayıcılar, Deno, Bun ve Workers için tipli bir
      istemci bulunur. Sonucu bekler, tekrar anahtarıyla yeniden dener ve listelerin sayfalarını gerektikçe
      ister. Her hatanın bir sınıfı vardır.
    </>,
  ],
  commands: [
    <>
      Aynı paket bir komut satırı aracıdır; anahtarı <code>GIH_KEY</code> değişkeninden okur. Sonuçlar
      standart çıktıya yazılır. Bütün komutları <code>npx gpt-image-hub --help</code> listeler.
    </>,
  ],
  testKeys: ({ delaySecondsMax }) => [
    <>
      Test anahtarı (<code>gih_test_…</code>) kendi testleriniz içindir. API anahtarları sayfasında Test
      kipini seçerek oluşturun. Bütün adresler canlı anahtarla olduğu gibi çalışır; her oluşturmada{" "}
      <code>"livemode": false</code> bulunur. Görselleri yerleşik sağlayıcı, yalnızca PNG olarak çizer. Ücret
      alınmaz, kredi de gerekmez: <code>credits</code>, <code>credits_charged</code> ve{" "}
      <code>credits_refunded</code> 0 olur.
    </>,
    <>
      Test anahtarı, canlı anahtarların oluşturmalarını, referanslarını ve tekrar anahtarlarını görmez; canlı
      anahtar da test anahtarlarınınkini görmez. Her kipin hız sınırı ve webhook anahtarı ayrıdır. Hesabın
      bakiyesini ikisi de görür.
    </>,
    <>
      <code>X-Test-Scenario</code> başlığı isteğin nasıl sonuçlanacağını belirler. Bir sonuç, en çok{" "}
      {delaySecondsMax} saniyelik bir gecikmeyle birlikte verilebilir: <code>delay=5, fail</code>. Bilinmeyen
      bir değer 400 ile reddedilir; bu başlık canlı anahtarla gönderilirse de öyle.
    </>,
  ],
  scenarios: {
    "partial=K": (
      <>
        K görsel teslim edilir. K, <code>n</code> değerinden küçük olmalıdır.
      </>
    ),
    fail: (
      <>
        Oluşturma başarısız olur: 500 <code>generationFailed</code>.
      </>
    ),
    refuse: (
      <>
        İstem reddedilir: 400 <code>contentPolicyViolation</code>.
      </>
    ),
    timeout: (
      <>
        Sağlayıcı yanıt vermemiş gibi, ama hemen: 500 <code>generationFailed</code>.
      </>
    ),
    insufficient: (
      <>
        Kredi yokmuş gibi: 402 <code>insufficientCredits</code>.
      </>
    ),
    "delay=SECONDS": "Oluşturma, sonuçlanmadan önce bu kadar saniye bekler.",
  },
  errors: [
    <>
      Her hata aynı biçimde bildirilir. Programınız <code>code</code> alanına baksın; <code>message</code>{" "}
      insanlar içindir, <code>param</code> ise hatalı alanı adlandırır. Bize sorarken <code>request_id</code>{" "}
      değerini iletin.
    </>,
  ],
  retries: [
    <>
      Her isteği <code>Idempotency-Key</code> ile gönderin; sorun geçiciyse aynı anahtarla yineleyin.
      Denemeler arasındaki süreyi ikiye katlayın, birkaç denemeden sonra durun. İstemci bunların hepsini
      yapar.
    </>,
  ],
  advice: [
    <>429 ve 503: kredi düşülmedi. Retry-After başlığındaki saniye kadar bekleyip isteği yineleyin.</>,
    <>
      Yanıt gelmediyse, 500 <code>internalError</code> veya bir ağ geçidinin hatasıysa (502, 504): isteği
      yineleyin. İlk deneme kabul edildiyse onun oluşturmasını alırsınız.
    </>,
    <>
      500 <code>generationFailed</code>: krediler iade edildi. Yeni bir tekrar anahtarıyla yeniden deneyin.
    </>,
    <>Diğer bütün hatalar: önce isteği, anahtarı veya bakiyeyi düzeltin.</>,
  ],
  rateLimits: ({ perMinute, unfinished }) => [
    <>
      Dakikada yeni oluşturma: {perMinute === 0 ? "sınırsız" : perMinute}. Aynı anda bitmemiş oluşturma:{" "}
      {unfinished === 0 ? "sınırsız" : unfinished}. Sınırlar hesabın bütün canlı anahtarları için birlikte,
      test anahtarları için ayrıca geçerlidir. Reddedilen ve yinelenen istekler sayılmaz. Durum sorma gibi
      diğer istekler, anahtar başına dakikada yaklaşık 1.200 ile sınırlıdır.
    </>,
    <>
      Sınır aşılırsa yanıt 429 <code>rateLimited</code> olur; <code>Retry-After</code> başlığı kaç saniye
      bekleneceğini söyler. Bir sınır varsa, yeni oluşturmaların yanıtları kalanı bildirir: bu örnekte
      önümüzdeki 60 saniye için 120'de 119 ve aynı anda 20'de 19.
    </>,
  ],
  columns: {
    field: "Alan",
    value: "Değer",
    notes: "Notlar",
    status: "HTTP",
    code: "Kod",
    meaning: "Anlamı",
    tier: "Çözünürlük",
    pixels: "Piksel",
    price: "Bir görselin fiyatı",
    ratio: "En boy oranı",
    endpoint: "Adres",
    key: "Anahtar",
    does: "Ne yapar",
  },
  endpoints: {
    models: "Modelleri, yetenekleri ve fiyatlarıyla listeler.",
    model: "Bir modeli verir.",
    credits: "Bakiyeyi bildirir.",
    packs: "Satıştaki kredi paketlerini listeler.",
    entries: "Bakiyenin her değişikliğini yeniden eskiye doğru listeler.",
    grants: "Yüklenen kredileri, her birinden kalanı ve son kullanma zamanını listeler.",
    generate: "Görsel oluşturur.",
    list: "Oluşturmalarınızı yeniden eskiye doğru listeler.",
    read: "Bir oluşturmayı görselleriyle verir.",
    upload: "Referans görseli yükler ve 24 saat saklar.",
    deleteReference: "Yüklenen bir referans görseli siler.",
    deliveries: "Bir oluşturmanın webhook gönderimlerini listeler.",
    resend: "Webhook'u yeniden gönderir.",
    secret: "Webhook imzalarını doğrulayan gizli anahtarı verir.",
    rotate: "Bu anahtarı yeniler. Eskisi 24 saat daha geçerlidir.",
    usage: "Oluşturmaları, görselleri ve kredileri güne, anahtara ve modele göre verir; JSON veya CSV.",
    key: "İstekteki anahtar: neye izni var, ne kadar harcadı.",
    estimate: "Bir isteğin fiyatını verir; kredi düşmez.",
    cancel: "Sırada bekleyen bir oluşturmayı iptal eder ve kredisini iade eder.",
    delete: "Bitmiş bir oluşturmayı görselleriyle birlikte siler.",
    events: "Sunucu olayları (SSE): bitene kadar durumun her değişikliği.",
    openai:
      "OpenAI istemcileri için temel adres: görseller, düzenlemeler, kısmi görselli akışlar ve modeller.",
  },
  reference: "API başvurusu: her adres, alan alan (İngilizce)",
  needsKey: "evet",
  needsNoKey: "hayır",
  fields: {
    model: "Zorunlu.",
    prompt: "Zorunlu. Görselde ne olacağı.",
    size: "Verilmezse auto.",
    quality: "Sağlayıcının göstereceği özen. Fiyatı değiştirmez.",
    aspect_ratio: "Boyut yerine: çözünürlüğün izin verdiği, bu orandaki en büyük boyut.",
    resolution: "En boy oranıyla birlikte: fiyatı belirleyen çözünürlük.",
    n: "İstemden kaç görsel oluşturulacağı; her biri ayrı fiyatlanır.",
    async: "Beklemek yerine hemen yanıt verir.",
    output_format: "Verilmezse modelin ilk biçimi. Biçimi sağlayıcının seçtiği modellerde vermeyin.",
    output_compression: "JPEG ve WebP dosyalarının sıkıştırma düzeyi.",
    background: "Verilmezse auto.",
    moderation: "Sağlayıcının içeriği ne kadar sıkı süzeceği. Verilmezse auto.",
    user: "Kendi kullanıcınızın kimliği. Sağlayıcıya yalnızca karması gider.",
    response_format: "Kabul edilir ve yok sayılır: görseller her zaman adres olarak gelir.",
    max_credits: "İstek bundan pahalıysa reddedilir.",
    metadata: "Kendi etiketleriniz. Listeler bunlarla süzülür.",
    webhook_url: "Oluşturma bitince çağrılır.",
    reference_images: "Yalnızca JSON ile: https ve data adresleri, yüklenmiş referansların kimlikleri.",
    reference_image: "Yalnızca multipart/form-data ile; yinelenebilir.",
  },
  modelFacts: {
    id: "Model kimliği",
    aliases: "Diğer adlar",
    provider: "Sağlayıcı",
    ratios: "En boy oranları",
    defaults: "Belirtilmediğinde",
    qualities: "Çözünürlükler",
    renderQualities: "Kaliteler",
    formats: "Dosya biçimleri",
    formatsByProvider: "PNG veya JPEG; sağlayıcı seçer",
    references: "En çok referans görsel",
    most: "Bir istekte en çok görsel",
    promptMax: "En uzun istem (karakter)",
  },
  anySize: ({ edgeMax, pixelsMax }) =>
    `Kenarları en çok ${edgeMax} piksel ve toplamı en çok ${pixelsMax} piksel olan her boyut.`,
  listedSizes: "Yalnızca ikinci tablodaki boyutlar.",
  credit: (count) => `${count} kredi`,
  codes: {
    invalid_request: "Gövde veya bir parametre geçersiz; hangisi olduğunu param söyler.",
    contentPolicyViolation: "Sağlayıcı istemi veya bir referans görseli reddetti. Krediler iade edildi.",
    unreadableReference: "Sağlayıcı bir referans görseli okuyamadı. Krediler iade edildi.",
    missingApiKey: "Authorization başlığı yok.",
    invalidApiKey: "Böyle bir anahtar yok veya iptal edilmiş.",
    expiredApiKey: "Anahtarın süresi dolmuş.",
    insufficientCredits: "Hesaptaki kredi yetmiyor: required ve available alanlarına bakın.",
    keyLimitExceeded: "Anahtar kendi sınırına ulaştı: required, available ve resets_at alanlarına bakın.",
    forbidden: "Anahtarın bu işleme veya modele izni yok ya da hesap askıya alınmış.",
    notFound: "Bu adreste bir şey yok ya da başkasına ait.",
    methodNotAllowed: "Bu adres bu yöntemi kabul etmiyor; kabul ettiklerini Allow başlığı söyler.",
    conflict: "Var olanla çelişiyor.",
    notCancelable: "Oluşturma başlamış veya bitmiş; artık iptal edilemez.",
    payloadTooLarge: "Gövde izin verilenden büyük.",
    unsupportedMediaType: "Gövdenin türü bu adresin kabul ettiği tür değil.",
    idempotencyMismatch: "Bu tekrar anahtarı başka bir isteğe ait.",
    rateLimited: "Çok fazla istek; ne zaman sürdürüleceğini Retry-After söyler.",
    generationFailed: "Görseller oluşturulamadı. Krediler iade edildi.",
    internalError: "Bizim tarafımızda bir sorun oluştu.",
    serviceUnavailable: "Hizmet şu an isteği alamıyor. Kredi düşülmedi.",
  },
  limits: ({ waitSeconds, imagesMax, promptMax, referencesMax, megabytes }) => [
    `Bekleyen bir çağrı en çok ${waitSeconds} saniye bekler.`,
    `Bir istek 1 ile ${imagesMax} arasında görsel oluşturur.`,
    `Bir istem en çok ${promptMax} karakterdir.`,
    `En çok ${referencesMax} referans görsel; her biri en çok ${megabytes} MB.`,
  ],
  labels: {
    language: "Dil",
    variable: "Ortam değişkeni",
    header: "Başlık",
    request: "İstek",
    answer: "Yanıt",
    accepted: "Eşzamansız isteğin yanıtı",
    error: "Hata",
    receiver: "JavaScript ile webhook alıcısı",
    program: "JavaScript programı",
    commands: "Komutlar",
    headers: "Bir yanıtın başlıkları",
    copy: "Kopyala",
  },
};

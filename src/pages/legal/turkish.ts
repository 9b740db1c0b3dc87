import { BACKUP_DAYS, type Documents } from "./documents.ts";

export const turkish: Documents = {
  updated: "Son güncelleme",
  terms: {
    title: "Kullanım koşulları",
    description: "GPT Image Hub'ın kullanım koşulları.",
    parts: ({ operator, email, sellsCredits }) => [
      {
        id: "service",
        name: "Hizmet",
        text: [
          `Bu hizmeti ${operator} işletir. Hizmet, bu site ve bir API üzerinden istemlerden ve referans görsellerden görsel oluşturur. Hesap açarak bu koşulları kabul edersiniz.`,
        ],
      },
      {
        id: "account",
        name: "Hesabınız",
        text: [
          "Parolanızı ve API anahtarlarınızı gizli tutun. Bunlarla yapılan işlemlerden siz sorumlusunuz. Bir anahtarı başkasının bildiğini düşünüyorsanız hesabınızdaki sayfadan iptal edin.",
        ],
      },
      {
        id: "credits",
        name: "Krediler",
        text: [
          "Görsel oluşturmak kredi harcar. Fiyat, istek göndermeden önce belgelerde ve hesabınızda gösterilir. Teslim edilmeyen görsellerin kredisi kendiliğinden iade edilir.",
          "Süresi dolacak kredilerin tarihi hesabınızda görünür. Krediler başka bir hesaba aktarılamaz.",
          ...(sellsCredits
            ? [
                `Ödemeleri Stripe işler. Bir satın alma için iade istiyorsanız ${email} adresine yazın. Tüketici haklarınız saklıdır.`,
              ]
            : []),
        ],
      },
      {
        id: "content",
        name: "İçeriğiniz",
        text: [
          "İstemleriniz ve referans görselleriniz üzerindeki haklarınız sizde kalır; oluşturduğunuz görseller üzerinde hak iddia etmeyiz. Bunları, hizmetin gerektirdiği ölçüde saklamamıza ve işlememize izin verirsiniz.",
          "Gönderdiğiniz referans görselleri kullanma hakkına sahip olmalısınız. Modeli sağlayan şirketin ek kuralları olabilir.",
        ],
      },
      {
        id: "use",
        name: "Kabul edilen kullanım",
        text: [
          "Yasa dışı olan, çocukları cinsel biçimde gösteren, insanları aldatan ya da taciz eden içerik oluşturmayın. Sınırları, fiyatları ve güvenlik filtrelerini aşmaya çalışmayın, hizmeti başkaları için aksatmayın.",
          "Bu kurallara uymayan hesapları askıya alabiliriz.",
        ],
      },
      {
        id: "liability",
        name: "Erişilebilirlik ve sorumluluk",
        text: [
          "Hizmetin her zaman çalışacağını ya da bir görselin amacınıza uyacağını garanti etmeyiz. Oluşturulan görseller hatalı olabilir veya başkalarının eserlerine benzeyebilir: yayımlamadan önce denetleyin. Yasanın kaldırılmasına izin vermediği sorumluluklar saklıdır.",
        ],
      },
      {
        id: "end",
        name: "Değişiklikler ve sona erme",
        text: [
          "Hesabınızı ayarlar sayfasından dilediğiniz zaman silebilirsiniz. Koşullar değişirse yenileri tarihiyle birlikte burada yayımlanır.",
        ],
      },
      {
        id: "contact",
        name: "İletişim",
        text: [`Bu koşullarla ilgili sorularınız için: ${email}.`],
      },
    ],
  },
  privacy: {
    title: "Gizlilik",
    description: "GPT Image Hub hakkınızda neyi, neden ve ne kadar süre saklar.",
    parts: ({ operator, email, retentionDays, sellsCredits }) => [
      {
        id: "controller",
        name: "Veri sorumlusu",
        text: [`Bu hizmeti işleten ve verilerinizden sorumlu olan: ${operator}. İletişim: ${email}.`],
      },
      {
        id: "account",
        name: "Hesap",
        text: [
          "E-posta adresinizi, GitHub veya Google ile giriş yapıyorsanız adınızı ve giriş yönteminizi saklarız: parolanızın özetini ya da o sitedeki kimliğinizi ve şifrelenmiş belirteçlerinizi. API anahtarının yalnızca özetini, adını ve son kullanıldığı günü saklarız.",
          "Oturum, süresi dolana kadar IP adresinizi ve tarayıcınızın adını içerir. Giriş denemeleri ağa ve adrese göre en çok bir gün sayılır.",
          "Kayıt kredisi aldıysanız, kredinin bir kez verilmesi için adresinizin özeti saklanır.",
        ],
      },
      {
        id: "images",
        name: "İstemler ve görseller",
        text: [
          "Referans görseller, ait oldukları oluşturma bitince silinir. Önceden yüklenenler bir gün içinde silinir.",
          retentionDays === 0
            ? "İstemler, ayarlar ve oluşturulan görseller siz silene kadar saklanır."
            : `İstemler, ayarlar ve oluşturulan görseller siz silene kadar, en çok ${retentionDays} gün saklanır.`,
          "Bir görselin adresini bilen herkes onu açabilir. Adresler rastgele bir kimlik içerir ve hiçbir yerde listelenmez.",
        ],
      },
      {
        id: "ledger",
        name: "Krediler ve ödemeler",
        text: [
          "Her harcama ve iade bir defterde tutulur. Hesap ya da görsel silindikten sonra da ad, adres, istem ve görsel olmadan kalır.",
          ...(sellsCredits
            ? [
                "Ödemeleri Stripe işler. Neyin ne zaman satın alındığını ve ödemenin kimliklerini saklarız; kart numarası saklamayız.",
              ]
            : []),
        ],
      },
      {
        id: "logs",
        name: "Günlükler ve çerezler",
        text: [
          "Günlüklerimizde kimlikler, kodlar ve zamanlar bulunur; istem, görsel, anahtar ve e-posta adresi bulunmaz.",
          "Bir çerez oturumunuzu açık tutar. Tarayıcınız ayrıca taslakları, kod örneklerinin dilini ve geçiş anahtarı kullandığınızı hatırlar. Reklam ya da istatistik çerezi yoktur.",
        ],
      },
      {
        id: "recipients",
        name: "Verileri alan diğer taraflar",
        text: [
          "Hizmet, verileri bizim için saklayan Cloudflare üzerinde çalışır. Modelin sağlayıcısı, isteğin istemini ve referans görsellerini alır. Test anahtarıyla yapılan görseller sağlayıcı olmadan oluşturulur. Webhook belirlerseniz sonuç o adrese gider. E-postalar bir posta sağlayıcısı ile gönderilir.",
        ],
      },
      {
        id: "rights",
        name: "Silme ve haklarınız",
        text: [
          "Ayarlar sayfasından verilerinizi indirebilir ve hesabınızı silebilirsiniz. Adres, ad, giriş yöntemleri ve oturumlar hemen, istemler ve görseller dakikalar içinde silinir.",
          `Yedeklerdeki kopyalar ${BACKUP_DAYS} gün sonra silinir. Bir tarayıcı, gösterdiği görselin kopyasını tutabilir.`,
          `Düzeltme gibi diğer istekleriniz için ${email} adresine yazın. Veri koruma kurumuna da başvurabilirsiniz.`,
        ],
      },
    ],
  },
};

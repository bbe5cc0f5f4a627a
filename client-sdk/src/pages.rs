//! Long lists, page by page, all of one height.

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::client::Answer;
use crate::error::Error;

/// Items a page, unless said otherwise.
const PAGE_SIZE: u32 = 1_000;

/// A list that is fetched a page at a time. The first page fixes the height, the others are of the
/// same.
pub struct Pages<T> {
    fetch: Fetch<T>,
    page_size: u32,
    /// Of the page to come; none after the last.
    token: Option<String>,
    /// Of the first page.
    height: Option<u64>,
    /// Whether the pages must be of one height.
    pinned: bool,
}

/// Fetches the page with a token, of a size.
type Fetch<T> =
    Box<dyn Fn(String, u32) -> BoxFuture<'static, Result<Page<T>, Error>> + Send + Sync>;

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// When they were true.
    pub as_of: counterfoil_proto::v1::AsOf,
    pub(crate) next: String,
}

impl<T: Send + 'static> Pages<T> {
    pub(crate) fn new(
        fetch: impl Fn(String, u32) -> BoxFuture<'static, Result<Page<T>, Error>>
        + Send
        + Sync
        + 'static,
    ) -> Pages<T> {
        let token = Some(String::new());
        Pages { fetch: Box::new(fetch), page_size: PAGE_SIZE, token, height: None, pinned: true }
    }

    /// Pages of what never changes once it is there need not be of one height.
    pub(crate) fn unpinned(self) -> Pages<T> {
        Pages { pinned: false, ..self }
    }

    /// With pages of at most this many items, 1 to 1,000.
    pub fn page_size(self, items: u32) -> Pages<T> {
        Pages { page_size: items.clamp(1, PAGE_SIZE), ..self }
    }

    /// The next page; none after the last. After an error the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, Error> {
        let Some(token) = &self.token else { return Ok(None) };
        let page = (self.fetch)(token.clone(), self.page_size).await?;
        let height = *self.height.get_or_insert(page.as_of.height);
        if self.pinned && page.as_of.height != height {
            return Err(Error::bad_answer("a page of another height than the first"));
        }
        self.token = Some(page.next.clone()).filter(|next| !next.is_empty());
        Ok(Some(page))
    }

    /// All items in memory.
    pub async fn all(mut self) -> Result<Answer<Vec<T>>, Error> {
        let mut items = Vec::new();
        let mut as_of = counterfoil_proto::v1::AsOf::default();
        while let Some(page) = self.next().await? {
            items.extend(page.items);
            as_of = page.as_of;
        }
        Ok(Answer { value: items, as_of })
    }

    /// The items one by one, fetched as they are needed.
    pub fn items(self) -> BoxStream<'static, Result<T, Error>> {
        stream::try_unfold(self, |mut pages| async {
            Ok::<_, Error>(pages.next().await?.map(|page| (page, pages)))
        })
        .map_ok(|page| stream::iter(page.items.into_iter().map(Ok)))
        .try_flatten()
        .boxed()
    }
}

/// A page, unless the node does not say when it was true or would send the same one for ever.
pub(crate) fn page<T>(
    items: Vec<T>,
    asked: &str,
    next: String,
    as_of: Option<counterfoil_proto::v1::AsOf>,
) -> Result<Page<T>, String> {
    if !next.is_empty() && next == asked {
        return Err("a page that leads to itself".to_owned());
    }
    Ok(Page { items, as_of: as_of.ok_or("it does not say of which height")?, next })
}

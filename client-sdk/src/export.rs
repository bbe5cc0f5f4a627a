//! Whole blocks, one after the other, none left out.

use counterfoil_ledger::header::Header;
use counterfoil_proto::v1;
use futures::{FutureExt, StreamExt};

use crate::client::Client;
use crate::error::{Error, Failure};
use crate::feed::Feed;
use crate::proofs::audit;

/// A run of blocks that is being fetched.
pub struct Export {
    feed: Feed<u64, v1::ExportBlocksResponse>,
    next_height: u64,
    last_height: u64,
}

impl Export {
    pub(crate) fn new(client: Client, from_height: u64, to_height: u64) -> Export {
        let open = move |client: Client, from_height| {
            async move {
                let request = v1::ExportBlocksRequest { from_height, to_height };
                let rpc =
                    |channel, request| async move { audit(channel).export_blocks(request).await };
                let stream = client.open(request, rpc).await?;
                Ok(stream.map(|block| block.map_err(Failure::from)).boxed())
            }
            .boxed()
        };
        let feed = Feed::new(client, Box::new(open));
        Export { feed, next_height: from_height, last_height: to_height }
    }

    /// The last height of the run.
    pub fn last_height(&self) -> u64 {
        self.last_height
    }

    /// The next block; none after the last. Blocks come in order of height without a gap, whichever
    /// nodes come and go meanwhile; whether they are true is for a verifier to say.
    pub async fn next(&mut self) -> Result<Option<v1::ExportBlocksResponse>, Error> {
        while self.next_height <= self.last_height {
            let Some(block) = self.feed.next(self.next_height).await? else {
                self.feed.broke(Error::bad_answer("the export ends before its last height"))?;
                continue;
            };
            match Header::decode(&block.header) {
                Some(header) if header.height == self.next_height => {
                    self.feed.progressed();
                    self.next_height += 1;
                    return Ok(Some(block));
                }
                Some(_) => self.feed.broke(Error::bad_answer("the export has a gap"))?,
                None => self.feed.broke(Error::bad_answer("a block without a header"))?,
            }
        }
        Ok(None)
    }
}

//! Blocks and the settlement history, and the health of the consortium.

use bytes::Bytes;
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::header::Header;
use counterfoil_proto::v1;
use counterfoil_proto::v1::node_service_client::NodeServiceClient;
use futures::FutureExt;
use tonic::transport::Channel;

use crate::client::{ANSWER_MAX, Client};
use crate::error::Error;
use crate::export::Export;
use crate::pages::{Page, Pages, page};
use crate::proofs::audit;

/// Which part of the settlement history; all of it by default.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// First height.
    pub from_height: u64,
    /// Last height; none = the newest.
    pub to_height: Option<u64>,
    /// Only transfers that this institution sends or receives.
    pub institution: Option<Bic>,
    /// Only this asset.
    pub asset: Option<AssetCode>,
    /// Rejected ones too.
    pub include_rejected: bool,
}

impl Client {
    /// The genesis file as the nodes hold it. Trust the own copy: it is the root of all trust.
    pub async fn genesis_of_nodes(&self) -> Result<Bytes, Error> {
        let read = |response: v1::GetGenesisResponse| Ok::<_, String>(response.genesis);
        self.ask(v1::GetGenesisRequest {}, read, |channel, request| async move {
            audit(channel).get_genesis(request).await
        })
        .await
    }

    /// Headers from a height on, oldest first; 0 = the genesis block. A later page may be of a later
    /// moment: headers do not change.
    pub fn blocks(&self, from_height: u64) -> Pages<Header> {
        let client = self.clone();
        Pages::new(move |token, page_size| {
            let client = client.clone();
            let from_height = token.parse().unwrap_or(from_height);
            let request = v1::ListBlocksRequest {
                from_height,
                page_size,
                read_mode: client.read_mode.into(),
            };
            let read =
                move |response: v1::ListBlocksResponse| page_of_headers(response, from_height);
            async move {
                let rpc =
                    |channel, request| async move { audit(channel).list_blocks(request).await };
                client.ask(request, read, rpc).await
            }
            .boxed()
        })
        .unpinned()
    }

    /// Transfers of the settlement history in the caller's scope, oldest first.
    pub fn history(&self, filter: HistoryFilter) -> Pages<v1::TransferRecord> {
        let client = self.clone();
        Pages::new(move |page_token, page_size| {
            let (client, filter) = (client.clone(), filter.clone());
            let token = page_token.clone();
            let read = move |response: v1::ListHistoryResponse| {
                page(response.transfers, &token, response.next_page_token, response.as_of)
            };
            let request = v1::ListHistoryRequest {
                page_size,
                page_token,
                from_height: filter.from_height,
                to_height: filter.to_height.unwrap_or_default(),
                institution: text(filter.institution.as_ref().map(Bic::as_str)),
                asset: text(filter.asset.as_ref().map(AssetCode::as_str)),
                include_rejected: filter.include_rejected,
                read_mode: client.read_mode.into(),
            };
            async move {
                let rpc =
                    |channel, request| async move { audit(channel).list_history(request).await };
                client.ask(request, read, rpc).await
            }
            .boxed()
        })
    }

    /// Whole blocks from a height (at least 1) to a height, both included, oldest first, none left
    /// out; without a last height, to the newest of this moment.
    pub async fn export(&self, from_height: u64, to_height: Option<u64>) -> Result<Export, Error> {
        let to_height = match to_height {
            Some(height) => height,
            None => self.newest_height().await?,
        };
        Ok(Export::new(self.clone(), from_height.max(1), to_height))
    }

    /// The node that answers, about itself.
    pub async fn node_status(&self) -> Result<v1::NodeStatus, Error> {
        let chain_id = self.chain_id();
        let read = move |response: v1::GetNodeStatusResponse| {
            if response.chain_id != chain_id.as_bytes()[..] {
                return Err("the status of another chain".to_owned());
            }
            response.node.ok_or_else(|| "no status".to_owned())
        };
        self.ask(v1::GetNodeStatusRequest {}, read, |channel, request| async move {
            nodes(channel).get_node_status(request).await
        })
        .await
    }

    /// Every node, as the one that answers sees them.
    pub async fn cluster_status(&self) -> Result<v1::GetClusterStatusResponse, Error> {
        let chain_id = self.chain_id();
        let read = move |response: v1::GetClusterStatusResponse| {
            if response.chain_id != chain_id.as_bytes()[..] {
                return Err("the status of another chain".to_owned());
            }
            Ok(response)
        };
        self.ask(v1::GetClusterStatusRequest {}, read, |channel, request| async move {
            nodes(channel).get_cluster_status(request).await
        })
        .await
    }

    async fn newest_height(&self) -> Result<u64, Error> {
        let page = self.blocks(0).page_size(1).next().await?;
        Ok(page.map(|page| page.as_of.height).unwrap_or_default())
    }
}

fn page_of_headers(
    response: v1::ListBlocksResponse,
    from_height: u64,
) -> Result<Page<Header>, String> {
    let headers: Vec<Header> = response
        .headers
        .iter()
        .map(|bytes| Header::decode(bytes).ok_or("something that is no header"))
        .collect::<Result<_, _>>()?;
    let in_order =
        headers.iter().zip(from_height..).all(|(header, height)| header.height == height);
    if !in_order {
        return Err("headers of other heights".to_owned());
    }
    let next = match response.next_height {
        0 => String::new(),
        height => height.to_string(),
    };
    page(headers, &from_height.to_string(), next, response.as_of)
}

fn text(given: Option<&str>) -> String {
    given.unwrap_or_default().to_owned()
}

fn nodes(channel: Channel) -> NodeServiceClient<Channel> {
    NodeServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX)
}
